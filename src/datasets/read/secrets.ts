import type { RowFlag } from '../kinds.ts'
import { holdsCard, holdsIban } from './secret-numbers.ts'

/*
 * What keys look like is what their makers say (most are listed by gitleaks, https://github.com/gitleaks/gitleaks, config/gitleaks.toml).
 * Telephone numbers are not looked for: what looks like one mostly is another number.
 */
const apiKeys = [
  // OpenAI, Anthropic, and whoever took the same beginning: with a digit, or it may be words.
  /\bsk-(?=[\w-]*\d)[\w-]{20,}/,
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

const privateKey = /-----BEGIN (?:[A-Z0-9]{2,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----/

const jsonWebToken = /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}/

/** Something that is called a secret, with a value that is random enough. */
const namedSecret =
  /(?:api[_-]?key|secret|token|passwd|password|contraseña|credential|auth)["'`]?\s{0,3}(?:=|:|=>)\s{0,3}["'`]?([\w+/=.-]{16,200})/gi
const namedEntropy = 3.5

/** Letters of both cases and digits, so many in a row that no word has them. */
const randomRun = /[A-Za-z0-9]{24,200}/g
const runEntropy = 4

const email = /[\w.%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})\b/g
/** Names that belong to nobody (RFC 2606). */
const nobodysDomain = /(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)$/i

/** Which kinds of secrets a text holds. */
export function findSecrets(text: string): readonly RowFlag[] {
  const found: RowFlag[] = []
  if (apiKeys.some((pattern) => pattern.test(text))) found.push('secret:api-key')
  if (privateKey.test(text)) found.push('secret:private-key')
  if (holdsToken(text)) found.push('secret:token')
  if (text.includes('@') && holdsEmail(text)) found.push('secret:email')
  if (holdsCard(text)) found.push('secret:card')
  if (holdsIban(text)) found.push('secret:iban')
  return found
}

function holdsEmail(text: string): boolean {
  for (const [, domain = ''] of text.matchAll(email)) if (!nobodysDomain.test(domain)) return true
  return false
}

function holdsToken(text: string): boolean {
  if (jsonWebToken.test(text)) return true
  for (const [, value = ''] of text.matchAll(namedSecret))
    if (/\d/.test(value) && /[A-Za-z]/.test(value) && entropyOf(value) >= namedEntropy) return true
  for (const [run] of text.matchAll(randomRun)) if (isMixed(run) && entropyOf(run) >= runEntropy) return true
  return false
}

/** So that no name made of words, and no number in hexadecimal, is taken for a secret. */
function isMixed(run: string): boolean {
  const count = (pattern: RegExp) => run.match(pattern)?.length ?? 0
  return count(/\d/g) >= 2 && count(/[A-Z]/g) >= 2 && count(/[a-z]/g) >= 2
}

/** Shannon's, in bits a character. */
export function entropyOf(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let entropy = 0
  for (const count of counts.values()) entropy -= (count / text.length) * Math.log2(count / text.length)
  return entropy
}
