import { type KubernetesObject, partOf } from './kubernetes-api.ts'

const volumeTypes = new Set([
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'],
])
const seccompTypes: readonly unknown[] = ['RuntimeDefault', 'Localhost']

/**
 * What keeps a pod out of a namespace of the pod security standard "restricted" (as of Kubernetes 1.35), and, beyond that standard, a
 * root file system that can be written.
 */
export function breachesOf(pod: KubernetesObject): string[] {
  const security = partOf(pod, 'securityContext')
  const breaches = [
    ...['hostNetwork', 'hostPID', 'hostIPC'].filter((field) => pod[field] === true),
    ...listOf(pod, 'volumes').flatMap((volume) => Object.keys(volume).filter((key) => key !== 'name' && !volumeTypes.has(key))),
    ...(security.runAsUser === 0 ? ['runAsUser'] : []),
    ...(listOf(security, 'sysctls').length > 0 ? ['sysctls'] : []),
  ]
  const containers = ['initContainers', 'containers', 'ephemeralContainers'].flatMap((field) => listOf(pod, field))
  return [...breaches, ...containers.flatMap((container) => breachesOfContainer(container, security))]
}

function breachesOfContainer(container: KubernetesObject, ofPod: KubernetesObject): string[] {
  const own = partOf(container, 'securityContext')
  const capabilities = partOf(own, 'capabilities')
  const added = namesOf(capabilities, 'add').filter((name) => name !== 'NET_BIND_SERVICE')
  const seccomp = partOf(own, 'seccompProfile').type ?? partOf(ofPod, 'seccompProfile').type
  const found: ReadonlyArray<readonly [string, boolean]> = [
    ['allowPrivilegeEscalation', own.allowPrivilegeEscalation !== false],
    ['privileged', own.privileged === true],
    ['capabilities.drop', !namesOf(capabilities, 'drop').includes('ALL')],
    ['capabilities.add', added.length > 0],
    ['runAsNonRoot', (own.runAsNonRoot ?? ofPod.runAsNonRoot) !== true],
    ['runAsUser', own.runAsUser === 0],
    ['seccompProfile', !seccompTypes.includes(seccomp)],
    ['procMount', own.procMount !== undefined && own.procMount !== 'Default'],
    ['hostPort', listOf(container, 'ports').some(({ hostPort }) => hostPort !== undefined && hostPort !== 0)],
    ['readOnlyRootFilesystem', own.readOnlyRootFilesystem !== true],
  ]
  return found.filter(([, isBroken]) => isBroken).map(([name]) => name)
}

function listOf(object: KubernetesObject, name: string): KubernetesObject[] {
  const list: unknown = object[name]
  return Array.isArray(list) ? list.map((item: KubernetesObject) => ({ ...item })) : []
}

function namesOf(object: KubernetesObject, name: string): unknown[] {
  const list: unknown = object[name]
  return Array.isArray(list) ? list : []
}
