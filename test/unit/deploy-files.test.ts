import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { nodeFlags } from '../../bench/own-server.ts'
import { settingRows } from '../../src/config/settings.ts'
import { hasTools, runTool, toolPath } from '../deploy/chart.ts'
import { type KubernetesObject, partOf } from '../deploy/kubernetes-api.ts'

const workflows = ['.github/workflows/ci.yml', '.github/workflows/release.yml']
const scripts = ['deploy/make-secrets.sh', 'deploy/image/trim-packages.sh', 'deploy/image/try-image.sh', 'run_llm.sh']

describe.runIf(hasTools)('the files for deployment', { timeout: 60_000 }, () => {
  test('Docker Compose takes compose.yaml in each profile', async () => {
    for (const profile of ['alone', 'scale', 'observe']) {
      const { code, text } = await runTool('docker-compose', '--profile', profile, 'config', '--quiet')
      expect([code, text], profile).toEqual([0, ''])
    }
    expect(await runTool('docker-compose', '--file', 'package.json', 'config', '--quiet')).not.toMatchObject({ code: 0 })
  })

  test('hadolint finds nothing in the Dockerfile', async () => {
    expect(await runTool('hadolint', 'Dockerfile')).toEqual({ code: 0, text: '' })
  })

  test('the workflows pass jactionlint, and their scripts shellcheck', async () => {
    const shellcheck = `--shellcheck=${toolPath('shellcheck')}`
    expect(await runTool('jactionlint', shellcheck, ...workflows)).toEqual({ code: 0, text: '' })
  })

  test('the shell scripts pass shellcheck', async () => {
    expect(await runTool('shellcheck', ...scripts)).toEqual({ code: 0, text: '' })
  })
})

// The nginx of a build machine is older than the one of compose.yaml, which alone knows two words of the file; and there is no certificate.
test.runIf(hasTools)('nginx takes the site of compose.yaml', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-nginx-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const site = (await readFile('deploy/nginx/compose.conf', 'utf8'))
    .replaceAll(' resolve ', ' ')
    .replaceAll('server api:8000', 'server 127.0.0.1:8000')
    .replace(/^ +(?:http2 on|ssl_certificate\w* .*);$/gm, '')
    .replace('listen 8443 ssl', 'listen 8443')
  await writeFile(join(folder, 'nginx.conf'), `pid ${folder}/pid;\nevents {}\nhttp {\n${site}\n}\n`)
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
  const { stderr } = await promisify(execFile)('nginx', ['-t', '-e', 'stderr', '-c', join(folder, 'nginx.conf')], { env })
  expect(stderr).toContain('test is successful')
})

type Service = KubernetesObject

async function readServices(): Promise<ReadonlyArray<readonly [string, Service]>> {
  const compose: KubernetesObject = parse(await readFile('compose.yaml', 'utf8'), { merge: true })
  return Object.entries(partOf(compose, 'services')).map(([name, service]) => [name, partOf({ service }, 'service')] as const)
}

test('each service of compose.yaml is pinned, checked, limited, and may do no more than it has to', async () => {
  const services = await readServices()
  expect(services.map(([name]) => name).sort()).toEqual(
    ['grafana', 'nginx', 'postgres', 'prometheus', 'replica', 'setup', 'simpleia', 'valkey'].sort(),
  )
  const ownImage = /^\$\{SIMPLEIA_IMAGE:-simpleia:local\}$/
  for (const [name, service] of services) {
    expect(service, name).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    expect(String(service.image), name).toMatch(service.build === undefined ? /^[\w.]+\/[\w/.-]+:[^:]*\d+\.\d+/ : ownImage)
    const limits = partOf(partOf(partOf(service, 'deploy'), 'resources'), 'limits')
    expect(Object.keys(limits).sort(), name).toEqual(['cpus', 'memory', 'pids'])
    // The image of the service has its own check.
    if (service.build === undefined) expect(partOf(service, 'healthcheck').test, name).toBeDefined()
    for (const port of [service.ports ?? []].flat())
      expect(String(port), name).toMatch(/^(?:127\.0\.0\.1|\$\{\w+:-127\.0\.0\.1\}):/)
  }
})

test('Node.js is started alike, and with a place for what it compiles, wherever the service is started', async () => {
  const starts = await Promise.all(
    ['run_llm.sh', 'Dockerfile', 'deploy/systemd/simpleia.service'].map((path) => readFile(path, 'utf8')),
  )
  for (const text of starts) {
    const flags = [...text.matchAll(/--max-semi-space-size=\d+|--v8-pool-size=\d+/g)].map(([flag]) => flag)
    expect([...new Set(flags)]).toEqual(nodeFlags)
    expect(text).toContain('NODE_COMPILE_CACHE=')
  }
})

test('compose.yaml sets only settings that there are, and holds no secret', async () => {
  const known = new Map(settingRows.map(([, setting]) => [setting.env, setting]))
  for (const [name, service] of await readServices()) {
    if (service.build === undefined) continue
    for (const variable of Object.keys(partOf(service, 'environment'))) {
      const setting = known.get(variable.replace(/_FILE$/, ''))
      expect(setting, `${name}: ${variable}`).toBeDefined()
      // What is secret comes in a file.
      expect(setting?.secret === true, `${name}: ${variable}`).toBe(variable.endsWith('_FILE'))
    }
  }
})

test('the image has what Kubernetes and the settings count on', async () => {
  const text = await readFile('Dockerfile', 'utf8')
  const last = text.slice(text.lastIndexOf('\nFROM '))
  expect(last).toContain('USER 10001:10001')
  expect(last).toContain('STOPSIGNAL SIGTERM')
  expect(last).toMatch(/^ENTRYPOINT \["\/usr\/local\/bin\/node"/m)
  expect(last).not.toMatch(/^RUN /m)
  const known = new Set(settingRows.map(([, { env }]) => env))
  const variables = [...last.matchAll(/^\s*(?:ENV )?([A-Z_]+)=\S+(?: \\)?$/gm)].map(([, name = '']) => name)
  expect(variables).toContain('HOST')
  for (const name of variables)
    expect(known.has(name) || ['HOME', 'NODE_ENV', 'NODE_COMPILE_CACHE'].includes(name), name).toBe(true)
})

test('no workflow has more rights than a job asks for, and each action is pinned to a commit', async () => {
  for (const file of workflows) {
    const text = await readFile(file, 'utf8')
    const workflow: KubernetesObject = parse(text)
    expect(workflow.permissions, file).toEqual({})
    for (const [name, job] of Object.entries(partOf(workflow, 'jobs'))) {
      expect(Object.keys(partOf(partOf({ job }, 'job'), 'permissions')), `${file} ${name}`).toContain('contents')
    }
    const uses = [...text.matchAll(/uses: (\S+)/g)].map(([, action = '']) => action)
    expect(uses.length).toBeGreaterThan(5)
    for (const action of uses) expect(action).toMatch(/@[0-9a-f]{40}$/)
  }
})
