import { isThisMachine } from '../engine/cloud/egress.ts'
import { isPrivateAddress } from '../engine/cloud/own-network.ts'
import type { ErrorDetail } from '../errors.ts'
import type { Language } from './kinds.ts'
import { telemetrySettings } from './telemetry-settings.ts'

type Telemetry = Readonly<{
  localOnly: boolean
  otelEndpoint: string | undefined
  otelCaptureContent: boolean
  otelSdkDisabled: boolean
}>

/** What LOCAL_ONLY forbids of traces is told at the start, and not only when the first ones are refused. */
export function telemetryMistakes(config: Telemetry, language: Language): ErrorDetail[] {
  const { localOnly, otelEndpoint, otelCaptureContent, otelSdkDisabled } = config
  if (!localOnly || otelEndpoint === undefined || otelSdkDisabled) return []
  const { hostname, origin } = new URL(otelEndpoint)
  const [rule, field, got] = otelCaptureContent
    ? ([rules.content, telemetrySettings.otelCaptureContent.env, 'true'] as const)
    : ([rules.address, telemetrySettings.otelEndpoint.env, JSON.stringify(origin)] as const)
  const isKept = otelCaptureContent ? isThisMachine(hostname) : isPrivateAddress(hostname)
  return isKept ? [] : [{ field, expected: rule[language], got }]
}

const rules = {
  address: {
    en: 'an address of this machine or of a private network (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7), no name, because LOCAL_ONLY is true',
    es: 'una dirección de esta máquina o de una red privada (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7), no un nombre, porque LOCAL_ONLY es true',
  },
  content: {
    en: 'false, because LOCAL_ONLY is true and the collector is not on this machine',
    es: 'false, porque LOCAL_ONLY es true y el colector no está en esta máquina',
  },
} as const
