import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { readProtobufSecret } from './protobuf-secret.ts'

/** An object of Kubernetes, as far as the tests look at it. */
export type KubernetesObject = Readonly<Record<string, unknown>>

export type Write = Readonly<{ method: string; path: string; body: KubernetesObject }>

/** The kinds that charts here are made of: group version, plural, kind. */
const kinds = [
  ['v1', 'secrets', 'Secret'],
  ['v1', 'configmaps', 'ConfigMap'],
  ['v1', 'services', 'Service'],
  ['v1', 'serviceaccounts', 'ServiceAccount'],
  ['v1', 'persistentvolumeclaims', 'PersistentVolumeClaim'],
  ['apps/v1', 'deployments', 'Deployment'],
  ['networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy'],
  ['networking.k8s.io/v1', 'ingresses', 'Ingress'],
  ['autoscaling/v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler'],
  ['policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget'],
] as const

const namespace = { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'default' } }

/**
 * As much of the Kubernetes API as Helm needs to install and upgrade: it keeps objects as they are written, and tells what was written.
 * It changes nothing by itself and runs nothing.
 */
export async function startKubernetesApi() {
  const objects = new Map<string, KubernetesObject>()
  const writes: Write[] = []
  const server = createServer((request, response) => {
    answer(request, { objects, writes }).then(
      ([status, body]) => send(response, status, body),
      (error: unknown) => send(response, 500, failure(500, String(error))),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    writes,
    /** An object of the namespace default, such as `secrets/simpleia`. */
    find: (name: string) => [...objects].find(([path]) => path.endsWith(`/namespaces/default/${name}`))?.[1],
    close: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  }
}

type State = Readonly<{ objects: Map<string, KubernetesObject>; writes: Write[] }>
type Answer = readonly [status: number, body: KubernetesObject]

async function answer(request: IncomingMessage, { objects, writes }: State): Promise<Answer> {
  const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://api')
  const known = discovery(path)
  if (known !== undefined) return [200, known]
  const method = request.method ?? 'GET'
  if (method === 'GET') {
    const found = objects.get(path)
    if (found !== undefined) return [200, found]
    return path.endsWith('s') && kinds.some(([, plural]) => path.endsWith(`/${plural}`))
      ? [200, list([...objects], path, searchParams.get('labelSelector') ?? '')]
      : [404, failure(404, 'NotFound')]
  }
  const body = readBody(Buffer.concat(await Array.fromAsync(request)))
  writes.push({ method, path, body })
  if (method === 'DELETE') return objects.delete(path) ? [200, failure(200, '')] : [404, failure(404, 'NotFound')]
  const place = method === 'POST' ? `${path}/${String(partOf(body, 'metadata').name)}` : path
  if (method === 'POST' && objects.has(place)) return [409, failure(409, 'AlreadyExists')]
  const before = objects.get(place) ?? {}
  const merged = method === 'PATCH' ? merge(before, body) : body
  const resourceVersion = String(writes.length)
  objects.set(place, {
    ...merged,
    metadata: { namespace: 'default', ...partOf(merged, 'metadata'), uid: place, resourceVersion },
  })
  return [method === 'POST' ? 201 : 200, objects.get(place) ?? {}]
}

function readBody(bytes: Buffer): KubernetesObject {
  if (bytes.subarray(0, 3).toString() === 'k8s') return readProtobufSecret(bytes)
  return JSON.parse(bytes.toString() || '{}')
}

function discovery(path: string): KubernetesObject | undefined {
  if (path === '/version') return { major: '1', minor: '35', gitVersion: 'v1.35.0' }
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] }
  if (path === '/api/v1/namespaces/default') return namespace
  const versions = [...new Set(kinds.map(([version]) => version))].filter((version) => version !== 'v1')
  if (path === '/apis') {
    const groups = versions.map((groupVersion) => {
      const [name = '', version = ''] = groupVersion.split('/')
      return { name, versions: [{ groupVersion, version }], preferredVersion: { groupVersion, version } }
    })
    return { kind: 'APIGroupList', apiVersion: 'v1', groups }
  }
  const groupVersion = path === '/api/v1' ? 'v1' : path.replace('/apis/', '')
  const resources = kinds
    .filter(([version]) => version === groupVersion)
    .map(([, name, kind]) => ({ name, kind, singularName: kind.toLowerCase(), namespaced: true, verbs: ['get', 'list'] }))
  return resources.length === 0 ? undefined : { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources }
}

function list(objects: ReadonlyArray<readonly [string, KubernetesObject]>, path: string, selector: string): KubernetesObject {
  const wanted = selector
    .split(',')
    .filter(Boolean)
    .map((pair) => pair.split('='))
  const items = objects
    .filter(([place]) => place.startsWith(`${path}/`))
    .map(([, object]) => object)
    .filter((object) => wanted.every(([name = '', value]) => partOf(partOf(object, 'metadata'), 'labels')[name] === value))
  return { kind: 'SecretList', apiVersion: 'v1', metadata: { resourceVersion: '1' }, items }
}

/** A JSON merge patch (RFC 7396), which is what Helm's patches are as long as they change no list. */
function merge(before: KubernetesObject, patch: KubernetesObject): KubernetesObject {
  const merged: Record<string, unknown> = { ...before }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else merged[name] = isObject(value) ? merge(partOf(before, name), value) : value
  }
  return merged
}

function isObject(value: unknown): value is KubernetesObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object under a name, or an empty one. */
export function partOf(object: KubernetesObject, name: string): KubernetesObject {
  const part = object[name]
  return isObject(part) ? part : {}
}

function failure(code: number, reason: string): KubernetesObject {
  return { kind: 'Status', apiVersion: 'v1', status: code < 300 ? 'Success' : 'Failure', reason, message: reason, code }
}

function send(response: ServerResponse, status: number, body: KubernetesObject): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
