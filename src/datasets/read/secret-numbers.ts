/**
 * Lengths and beginnings of card numbers, by who gives them out (ISO/IEC 7812). Not those of 13 digits, which nobody has had for decades:
 * one article number (EAN-13) of ten would be one.
 */
const cards = [
  /^4(?:\d{15}|\d{18})$/,
  /^(?:5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12})$/,
  /^3[47]\d{13}$/,
  /^6(?:011|5\d\d|4[4-9]\d)\d{12}$/,
  /^35(?:2[89]|[3-8]\d)\d{12}$/,
  /^3(?:0[0-5]|[68]\d)\d{11}$/,
]

/** Not within a longer number. */
const cardLike = /(?<![\d.,])\d(?:[ -]?\d){12,18}(?![\d]|[.,]\d)/g

export function holdsCard(text: string): boolean {
  for (const [match] of text.matchAll(cardLike)) {
    const digits = match.replace(/[ -]/g, '')
    if (cards.some((pattern) => pattern.test(digits)) && hasLuhnDigit(digits)) return true
  }
  return false
}

/** Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B). */
export function hasLuhnDigit(digits: string): boolean {
  let sum = 0
  for (let place = 0; place < digits.length; place += 1) {
    const digit = Number(digits[digits.length - 1 - place])
    const doubled = place % 2 === 1 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

/** Characters of an IBAN, by country (the registry of ISO 13616). */
const ibanLengths: Readonly<Record<string, number>> = {
  AD: 24,
  AE: 23,
  AT: 20,
  BE: 16,
  BG: 22,
  BR: 29,
  CH: 21,
  CR: 22,
  CY: 28,
  CZ: 24,
  DE: 22,
  DK: 18,
  DO: 28,
  EE: 20,
  ES: 24,
  FI: 18,
  FR: 27,
  GB: 22,
  GI: 23,
  GR: 27,
  GT: 28,
  HR: 21,
  HU: 28,
  IE: 22,
  IL: 23,
  IS: 26,
  IT: 27,
  LI: 21,
  LT: 20,
  LU: 20,
  LV: 21,
  MC: 27,
  MT: 31,
  NL: 18,
  NO: 15,
  PL: 28,
  PT: 25,
  RO: 24,
  RS: 22,
  SA: 24,
  SE: 24,
  SI: 19,
  SK: 24,
  SM: 27,
  SV: 28,
  TR: 26,
  UA: 29,
}

const ibanLike = /\b[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]){11,30}/g

export function holdsIban(text: string): boolean {
  for (const [match] of text.matchAll(ibanLike)) {
    const compact = match.replace(/[ -]/g, '')
    const length = ibanLengths[compact.slice(0, 2)]
    if (length !== undefined && compact.length >= length && hasIbanDigits(compact.slice(0, length))) return true
  }
  return false
}

/** Whether the two check digits fit (ISO 7064, MOD 97-10). */
export function hasIbanDigits(iban: string): boolean {
  let rest = 0
  for (const character of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}
