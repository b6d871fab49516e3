import { readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020 as Ajv } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { readProviders } from '../../src/config/providers-file.ts'
import { settingRows } from '../../src/config/settings.ts'
import { loadConfig } from '../../src/config.ts'
import { chart, hasTools, listValues, nameOf, podOf, render, renderText, runTool, schemasFolder } from '../deploy/chart.ts'
import { type KubernetesObject, partOf, startKubernetesApi } from '../deploy/kubernetes-api.ts'
import { renderManifests } from '../deploy/manifests.ts'
import { breachesOf } from '../deploy/restricted.ts'

const valuesOf = (name: string) => ['--values', join(chart, 'ci', `${name}-values.yaml`)]

function getObject(objects: readonly KubernetesObject[], name: string): KubernetesObject {
  return objects.find((object) => nameOf(object) === name) ?? expect.unreachable(`there is no ${name}`)
}

describe.runIf(hasTools)('the chart', { timeout: 60_000 }, () => {
  test('passes the lint of Helm with each set of values', async () => {
    for (const values of await listValues()) {
      expect(await runTool('helm', 'lint', '--strict', chart, '--values', values), values).toMatchObject({ code: 0 })
    }
  })

  test('makes objects that Kubernetes knows, without a field that it does not', async () => {
    const ajv = await schemas()
    for (const values of await listValues()) {
      const objects = await render('--values', values)
      expect(objects.length).toBeGreaterThan(5)
      for (const object of objects) expect(await problemsOf(ajv, object), `${values} ${nameOf(object)}`).toEqual([])
    }
    const [misspelt = {}] = await render(...valuesOf('single'))
    expect(await problemsOf(ajv, { ...misspelt, spec: { ...partOf(misspelt, 'spec'), podSelektor: {} } })).not.toEqual([])
  })

  test('makes pods that a namespace of the standard "restricted" takes, with a read-only root', async () => {
    for (const values of await listValues()) {
      const pods = (await render('--values', values)).map(podOf).filter((pod) => pod !== undefined)
      expect(pods.length).toBeGreaterThan(1)
      for (const pod of pods) expect(breachesOf(pod)).toEqual([])
    }
  })

  test('keeps the key of the tokens over upgrades, and changes nothing by an upgrade that changes nothing', async () => {
    const api = await startKubernetesApi()
    const onCluster = ['--kube-apiserver', api.url, '--kube-token', 'none', '--server-side=false', '--disable-openapi-validation']
    const upgrade = async (...args: string[]) => {
      api.writes.length = 0
      const { code, text } = await runTool('helm', 'upgrade', '--install', 'simpleia', chart, ...onCluster, ...args)
      expect(code, text).toBe(0)
      // Helm's own records aside.
      return api.writes.filter(({ path, body }) => !`${path} ${nameOf(body)}`.includes('sh.helm.release'))
    }
    const made = await upgrade()
    expect(made.map(({ body }) => nameOf(body))).toContain('Deployment/simpleia')
    const key = partOf(api.find('secrets/simpleia') ?? {}, 'data')['secret-key']
    expect(Buffer.from(String(key), 'base64').toString()).toMatch(/^\w{48}$/)

    expect(await upgrade()).toEqual([])
    expect(await upgrade()).toEqual([])
    // A setting restarts the pods and leaves the key.
    const changed = await upgrade('--set', 'config.LOG_LEVEL=warn')
    expect(changed.map(({ method, path }) => `${method} ${path.split('/').slice(-2).join('/')}`).sort()).toEqual([
      'PATCH configmaps/simpleia',
      'PATCH deployments/simpleia',
    ])
    expect(partOf(api.find('secrets/simpleia') ?? {}, 'data')['secret-key']).toBe(key)
    await api.close()
  })

  test('without a cluster to ask, only the secret differs from one rendering to the next', async () => {
    const [first, second] = [await render(), await render()]
    const differing = first.filter((object, index) => JSON.stringify(object) !== JSON.stringify(second[index]))
    expect(differing.map(nameOf)).toEqual(['Secret/simpleia'])
    const given = valuesOf('single')
    expect(await renderText(...given)).toBe(await renderText(...given))
  })

  test('with localOnly nothing leaves the pods but for names, the database and Redis', async () => {
    const objects = await render(...valuesOf('local-only'))
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy')
    expect(policies.map(nameOf)).toEqual(['NetworkPolicy/simpleia'])
    const { egress, policyTypes } = partOf(getObject(policies, 'NetworkPolicy/simpleia'), 'spec')
    expect(policyTypes).toEqual(['Ingress', 'Egress'])
    const inData = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'data' } } }]
    expect(egress).toEqual([
      expect.objectContaining({
        ports: [
          { port: 53, protocol: 'UDP' },
          { port: 53, protocol: 'TCP' },
        ],
      }),
      { to: inData, ports: [{ port: 5432 }] },
      { to: inData, ports: [{ port: 6379 }] },
    ])
    expect(partOf(getObject(objects, 'ConfigMap/simpleia'), 'data').LOCAL_ONLY).toBe('true')
    // What would need the hub is not there.
    expect(await renderText(...valuesOf('local-only'))).not.toContain('initContainers')
    // A policy without localOnly lets more out, so the one above is no accident.
    expect(await renderText(...valuesOf('single'))).toContain('cidr: 0.0.0.0/0')
  })

  test.each([
    [['--set', 'replicaCoun=2'], 'replicaCoun'],
    [['--set', 'replicaCount=2'], 'More than one replica needs database.url'],
    [['--set', 'replicaCount=2,database.existingSecret=a'], 'needs redis.url'],
    [['--set', 'replicaCount=2,database.existingSecret=a,redis.existingSecret=b'], 'data.persistence.accessMode=ReadWriteMany'],
    [['--set', 'localOnly=true,vllm.enabled=true'], 'localOnly keeps prompts in the pod'],
    [['--set', 'config.SECRET_KEY=x'], 'SECRET_KEY'],
    [['--set', 'secretKey.value=short'], 'secretKey'],
    [['--set', 'ingress.enabled=true,ingress.hosts={*}'], 'ingress.hosts: a * stands for the first part'],
    [['--set', 'ingress.enabled=true,ingress.hosts={a.*.example.com}'], 'a.*.example.com is neither'],
    [['--set', 'gpu.enabled=true,image.digest=sha256:1'], 'digest'],
  ])('refuses %j and says why', async (args, reason) => {
    const { code, text } = await runTool('helm', 'template', 'simpleia', chart, ...args)
    expect(code).not.toBe(0)
    expect(text).toContain(reason)
  })

  test('lets the service answer for the hosts of the ingress, one with a star among them', async () => {
    const hosts = 'ingress.hosts={*.example.com,ai.example.org}'
    const objects = await render('--set', `ingress.enabled=true,${hosts}`)
    const { ALLOWED_HOSTS: allowed } = partOf(getObject(objects, 'ConfigMap/simpleia'), 'data')
    expect(allowed).toBe('*.example.com,ai.example.org')
    const config = loadConfig({ environment: { ALLOWED_HOSTS: String(allowed) }, serves: false })
    expect(config.allowedHosts).toEqual(['*.example.com', 'ai.example.org'])
  })

  test('gives the service only settings that it knows, and more time to end than answers may take', async () => {
    const known = new Set(settingRows.map(([, { env }]) => env))
    for (const values of await listValues()) {
      const objects = await render('--values', values)
      for (const name of Object.keys(partOf(getObject(objects, 'ConfigMap/simpleia'), 'data'))) expect(known).toContain(name)
      const grace = Number(partOf(getObject(objects, 'ConfigMap/simpleia'), 'data').SHUTDOWN_GRACE_SECONDS)
      const pod = podOf(getObject(objects, 'Deployment/simpleia')) ?? {}
      expect(Number(pod.terminationGracePeriodSeconds)).toBeGreaterThan(grace + 5)
    }
  })

  test('writes a providers.json that the service reads', async () => {
    const data = partOf(getObject(await render(...valuesOf('model-servers')), 'ConfigMap/simpleia-providers'), 'data')
    const file = join(tmpdir(), `simpleia-providers-${process.pid}.json`)
    await writeFile(file, String(data['providers.json']))
    const noKeys = { anthropicApiKey: 'a', openaiApiKey: undefined, customApiKey: undefined, customBaseUrl: undefined }
    const { providers, routes } = await readProviders(file, noKeys, {})
    expect(providers.map(({ name, type, baseUrls }) => [name, type, ...baseUrls])).toEqual([
      ['claude', 'claude'],
      ['vllm', 'custom', 'http://simpleia-vllm:8000/v1'],
      ['llama-server', 'custom', 'http://simpleia-llama-server:8080/v1'],
    ])
    expect(routes.get('default')).toEqual(['vllm', 'llama-server', 'hf'])
  })

  test('is what the plain manifests were made from', async () => {
    const rendered = await renderManifests()
    const files = (await readdir('deploy/kubernetes')).filter((file) => file.endsWith('.yaml'))
    expect(files.sort()).toEqual(rendered.map(([file]) => file).sort())
    for (const [file, text] of rendered) expect(await readFile(join('deploy/kubernetes', file), 'utf8'), file).toBe(text)
  })
})

test.each([
  ['hostNetwork', { hostNetwork: true }],
  ['hostPath', { volumes: [{ name: 'disk', hostPath: { path: '/' } }] }],
  ['runAsNonRoot', { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } }],
  ['seccompProfile', { securityContext: { runAsNonRoot: true } }],
  ['runAsUser', { securityContext: { runAsNonRoot: true, runAsUser: 0, seccompProfile: { type: 'RuntimeDefault' } } }],
  ['capabilities.drop', { containers: [{ securityContext: { ...hardened(), capabilities: {} } }] }],
  ['allowPrivilegeEscalation', { containers: [{ securityContext: { ...hardened(), allowPrivilegeEscalation: true } }] }],
  ['readOnlyRootFilesystem', { initContainers: [{ securityContext: { ...hardened(), readOnlyRootFilesystem: false } }] }],
  ['hostPort', { containers: [{ securityContext: hardened(), ports: [{ hostPort: 80 }] }] }],
])('the check for the standard "restricted" finds %s', (name, change) => {
  const pod = {
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [{ securityContext: hardened() }],
  }
  expect(breachesOf(pod)).toEqual([])
  expect(breachesOf({ ...pod, ...change })).toEqual([name])
})

function hardened() {
  return { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }
}

/** Kubernetes' own schemas, which know no field but the API's. */
async function schemas(): Promise<Ajv> {
  const ajv = new Ajv({ strict: false, validateFormats: false })
  const definitions: KubernetesObject = JSON.parse(await readFile(join(schemasFolder, '_definitions.json'), 'utf8'))
  return ajv.addSchema(definitions, '/api/_definitions.json')
}

/** Kinds of the Prometheus operator, which Kubernetes itself does not know. */
const foreign = new Set(['ServiceMonitor'])

async function problemsOf(ajv: Ajv, object: KubernetesObject): Promise<unknown[]> {
  const kind = String(object.kind)
  if (foreign.has(kind)) return []
  const [group = '', version] = String(object.apiVersion).split('/')
  const name = version === undefined ? `${kind}-${group}` : `${kind}-${group.split('.')[0]}-${version}`
  const file = join(schemasFolder, `${name.toLowerCase()}.json`)
  const validate = ajv.getSchema(file) ?? ajv.addSchema(JSON.parse(await readFile(file, 'utf8')), file).getSchema(file)
  return validate?.(object) ? [] : (validate?.errors ?? ['no schema'])
}
