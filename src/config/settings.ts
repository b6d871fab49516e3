import { accessSettings } from './access-settings.ts'
import { limitSettings } from './limit-settings.ts'
import { modelSettings } from './model-settings.ts'
import { serviceSettings } from './service-settings.ts'
import type { Setting } from './setting.ts'
import { storageSettings } from './storage-settings.ts'
import { telemetrySettings } from './telemetry-settings.ts'
import { trainingSettings } from './training-settings.ts'

/** The settings table: variables, flags, help and docs/settings.md are made from it. */
export const settings = {
  ...serviceSettings,
  ...accessSettings,
  ...storageSettings,
  ...limitSettings,
  ...modelSettings,
  ...trainingSettings,
  ...telemetrySettings,
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof settings

/** All rows, with the types of their values left aside. */
export const settingRows: ReadonlyArray<readonly [string, Setting]> = Object.entries(settings)

/** `--rate-limit-requests` for `RATE_LIMIT_REQUESTS`. */
export function flagOf(setting: Setting): string {
  return `--${setting.env.toLowerCase().replaceAll('_', '-')}`
}
