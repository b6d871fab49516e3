import { dirname, join } from 'node:path'
import { readProviders } from '../config/providers-file.ts'
import { readSelected } from '../config/selection.ts'
import type { Config, Environment } from '../config.ts'
import type { Finding, Tell } from './doctor-checks.ts'
import { messageOf } from './message-of.ts'

/** Whether the other providers are written down as they must be. None of them is asked: that would leave the machine. */
export async function checkProviders(config: Config, environment: Environment, tell: Tell): Promise<Finding[]> {
  try {
    const path = join(dirname(config.configFile), 'providers.json')
    const names = (await readProviders(path, config, environment)).providers.map(({ name }) => name)
    const { provider } = await readSelected(config)
    if (provider !== 'hf' && !names.includes(provider))
      return [tell('providers', 'fail', 'providerMissing', { name: provider }, 'providerMissingFix')]
    return names.length === 0 ? [] : [tell('providers', 'ok', 'providers', { names: names.join(', ') })]
  } catch (error) {
    return [tell('providers', 'fail', 'providersWrong', { reason: messageOf(error) }, 'providersFix')]
  }
}
