import { AppError } from '../errors.ts'

/** A repository of the model hub, and what is meant in it: a file, a quantization, or (neither) whatever is best. */
export type HubName = Readonly<{ repository: string; file: string | undefined; quantization: string | undefined }>

/**
 * What a name can mean. One name may have several readings (`a/b` is a path and a repository): who asks tries them in this order.
 * Nothing in here has been looked up.
 */
export type ModelName = Readonly<{
  given: string
  /** A path inside the models folder, with `/`, without `.gguf`: safe to join to the folder, links aside. */
  path: string | undefined
  hub: HubName | undefined
  /** Ollama's form; `latest` stands for any tag. Only ever compared with the names of installed models. */
  tagged: Readonly<{ name: string; tag: string }> | undefined
  /** `base+adapter`: a base by any name, and an adapter by its path inside the models folder. */
  adapted: Readonly<{ base: string; adapter: string }> | undefined
}>

export const modelEnding = '.gguf'

/** Reads a model's name. Throws `invalid` when it can mean nothing, or leads out of the models folder. */
export function parseModelName(given: string): ModelName {
  const name = { ...readWhole(given), given, adapted: toAdapted(given) }
  if (hasReading(name) || name.adapted !== undefined) return name
  throw new AppError(
    'invalid',
    `A model name must be an installed name, a path inside the models folder, or a hub name such as owner/repository or ` +
      `owner/repository:Q4_K_M, but is ${quoted(given)}.`,
  )
}

type Whole = Pick<ModelName, 'path' | 'hub' | 'tagged'>

function readWhole(given: string): Whole {
  return { path: toPath(given), hub: parseHubName(given), tagged: toTagged(given) }
}

function hasReading({ path, hub, tagged }: Whole): boolean {
  return path !== undefined || hub !== undefined || tagged !== undefined
}

/** A name for a message: whole names are short, and a long one is no help. */
export const quoted = (name: string) => JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name)

function toPath(given: string): string | undefined {
  const name = given.toLowerCase().endsWith(modelEnding) ? given.slice(0, -modelEnding.length) : given
  return isInside(name) ? name : undefined
}

const maxLength = 255
// Room for the endings of the files beside a model: systems allow 255 bytes.
const maxPartBytes = 230
// Not Buffer: the pages check names by this, too.
const utf8 = new TextEncoder()
const reservedByWindows = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)/i

/**
 * No absolute path, no `..`, nothing hidden, no drive, stream, device or lost trailing dot of Windows, no percent sign that
 * something might decode, no control character: nothing that means more than a name on any system.
 */
export function isInside(name: string): boolean {
  if (name === '' || name.length > maxLength || !name.isWellFormed() || /[\\:%*?"<>|\p{Cc}]/u.test(name)) return false
  return name
    .split('/')
    .every(
      (part) =>
        part !== '' && !/^[. ]|[. ]$/.test(part) && utf8.encode(part).length <= maxPartBytes && !reservedByWindows.test(part),
    )
}

const hubPrefix = /^(?:hf:|(?:https:\/\/)?(?:hf\.co|huggingface\.co)\/)/
// As the hub itself names things: letters, digits, `-`, `_`, `.`, none of the last two doubled or at an end.
const hubPart = /^(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/
const plainTag = /^[A-Za-z0-9_][\w.-]{0,79}$/

/** The hub's forms: `owner/repo`, `owner/repo:QUANT`, `hf:owner/repo/folder/file.gguf`, and the same after `hf.co/`. */
export function parseHubName(given: string): HubName | undefined {
  const isMarked = hubPrefix.test(given)
  const [, location = '', tag] = /^([^:]*)(?::([^:]*))?$/.exec(given.replace(hubPrefix, '')) ?? []
  const [owner = '', name = '', ...rest] = location.split('/')
  if (!hubPart.test(owner) || !hubPart.test(name) || (tag !== undefined && !plainTag.test(tag))) return undefined
  const repository = `${owner}/${name}`
  // It is the folder of its files where their own names are taken.
  if (!isInside(repository)) return undefined
  if (rest.length === 0) {
    // A repository may be called anything, but one that ends like a file is a file of the models folder.
    if (!isMarked && name.toLowerCase().endsWith(modelEnding)) return undefined
    return { repository, file: undefined, quantization: tag?.toLowerCase() === 'latest' ? undefined : tag }
  }
  const file = rest.join('/')
  if (!isMarked || tag !== undefined || !file.toLowerCase().endsWith(modelEnding) || !isInside(file)) return undefined
  return { repository, file, quantization: undefined }
}

function toTagged(given: string): ModelName['tagged'] {
  const [, name = '', tag = 'latest'] = /^([^:]+)(?::([^:]+))?$/.exec(given) ?? []
  return isInside(name) && plainTag.test(tag) ? { name, tag } : undefined
}

function toAdapted(given: string): ModelName['adapted'] {
  const plus = given.lastIndexOf('+')
  const [base, adapter] = [given.slice(0, plus), given.slice(plus + 1)]
  return plus !== -1 && hasReading(readWhole(base)) && isInside(adapter) ? { base, adapter } : undefined
}
