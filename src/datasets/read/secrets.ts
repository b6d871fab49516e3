import type { RowFlag } from '../kinds.ts'
import { holdsCard, holdsIban } from './secret-numbers.ts'

/*
 * What keys look like is what their makers say (most are listed by gitleaks, https://github.com/gitleaks/gitleaks, config/gitleaks.toml).
 * Telephone numbers are not looked for: what looks like one mostly is another number.
 */
const apiKeys = [
  /\bgh[pousr]_[A-Za-z0-9]{36}/,
  /\bgithub_pat_\w{22,}/,
  /\bglpat-[\w-]{20}/,
  /\bxox[abeoprs]-[\w-]{10,}/,
  /\bAIza[\w-]{35}/,
  /\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b/,
  /\bhf_[A-Za-z]{34}\b/,
  /\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}/,
  /\bSG\.[\w-]{22}\.[\w-]{43}/,
  /\bnpm_[A-Za-z0-9]{36}\b/,
  /\bpypi-AgEIcHlwaS5vcmc[\w-]{50,}/,
  /\bdop_v1_[a-f0-9]{64}\b/,
  /\bya29\.[\w-]{20,}/,
]

/** OpenAI's, Anthropic's, and of whoever took the same beginning: with a digit, or it may be words. */
const skKey = /\bsk-[\w-]{20,}/g

const privateKey = /-----BEGIN (?:[A-Z0-9]{2,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----/

const jsonWebToken = /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}/

/** Something that is called a secret, with a value that is random enough. */
const namedSecret =
  /(?:api[_-]?key|secret|token|passwd|password|contraseña|credential|auth)["'`]?\s{0,3}(?:=|:|=>)\s{0,3}["'`]?([\w+/=.-]{16,200})/gi
const namedEntropy = 3.5

/** Letters of both cases and digits, so many in a row that no word has them. */
const randomRun = /[A-Za-z0-9]{24,200}/g
const runEntropy = 4

/** Checksums of packages and keys, and files inside of a text: as random as a token, and known to everybody. */
const publicRuns = /\bsha(?:1|256|384|512)[-:][\w+/]{27,}={0,2}|\bdata:[\w/+.-]{0,100};base64,[\w+/=]+/gi

const email = /([\w.%+-]{1,64})@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})\b/g
/** Names that belong to nobody (RFC 2606). */
const nobodysDomain = /(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)$/i

/** `icon@2x.png` is a picture for fine screens. */
const pictureName = /^\dx\.(?:png|jpe?g|gif|webp|avif|svg)$/i

/** Which kinds of secrets a text holds. */
export function findSecrets(text: string): readonly RowFlag[] {
  const found: RowFlag[] = []
  if (holdsApiKey(text)) found.push('secret:api-key')
  if (privateKey.test(text)) found.push('secret:private-key')
  if (holdsToken(text)) found.push('secret:token')
  if (text.includes('@') && holdsEmail(text)) found.push('secret:email')
  if (holdsCard(text)) found.push('secret:card')
  if (holdsIban(text)) found.push('secret:iban')
  return found
}

function holdsApiKey(text: string): boolean {
  if (apiKeys.some((pattern) => pattern.test(text))) return true
  for (const [key] of text.matchAll(skKey)) if (/\d/.test(key) && !isOfWords(key)) return true
  return false
}

function holdsEmail(text: string): boolean {
  for (const [, user, domain = ''] of text.matchAll(email)) {
    // `git@` is how the servers of repositories call all of their users.
    if (user !== 'git' && !nobodysDomain.test(domain) && !pictureName.test(domain)) return true
  }
  return false
}

function holdsToken(whole: string): boolean {
  const text = whole.replace(publicRuns, '')
  if (jsonWebToken.test(text)) return true
  for (const [, value = ''] of text.matchAll(namedSecret))
    if (/\d/.test(value) && /[A-Za-z]/.test(value) && entropyOf(value) >= namedEntropy && !isReference(value)) return true
  for (const [run] of text.matchAll(randomRun)) if (isMixed(run) && entropyOf(run) >= runEntropy) return true
  return false
}

/** So that no name made of words, and no number in hexadecimal, is taken for a secret. */
function isMixed(run: string): boolean {
  const count = (pattern: RegExp) => run.match(pattern)?.length ?? 0
  return count(/\d/g) >= 2 && count(/[A-Z]/g) >= 2 && count(/[a-z]/g) >= 2
}

/** What programs have in the place of a value: `settings.DB_PASSWORD_2`, `createToken2`. */
const isReference = (value: string) => /[._/]|[a-z][A-Z]/.test(value) && isOfWords(value)

/** Whether most of it is words of more than a few letters; among random ones, the case changes or a digit comes sooner. */
function isOfWords(text: string): boolean {
  const words = text.match(/[A-Z]?[a-z]+|[A-Z]+/g) ?? []
  const letters = words.reduce((sum, word) => sum + word.length, 0)
  return (text.match(/\d/g)?.length ?? 0) <= 4 && letters / words.length >= 3.5
}

/** Shannon's, in bits a character. */
export function entropyOf(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let entropy = 0
  for (const count of counts.values()) entropy -= (count / text.length) * Math.log2(count / text.length)
  return entropy
}
