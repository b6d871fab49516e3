// @ts-check
import { create, createTime } from './elements.js'

/**
 * @typedef {Readonly<{
 *   started_at: string
 *   state: 'open' | 'ended' | 'interrupted'
 *   purpose: string
 *   user: string | null
 *   username: string | null
 *   provider: string | null
 *   model: string | null
 *   hosts: readonly string[]
 *   status: number | null
 *   bytes_out: number
 *   bytes_in: number
 *   cost_microdollars: number | null
 * }>} EgressItem
 */
/**
 * @typedef {{
 *   items: EgressItem[]
 *   next_cursor: string | null
 *   local_only: boolean
 *   totals: { errands: number, requests: number, bytes_out: number, bytes_in: number, cost_microdollars: number }
 * }} EgressPage
 */

const stateTexts = /** @type {const} */ ({ open: 'egressOpen', interrupted: 'egressInterrupted' })

/** One errand outside. Names come from users and from other servers: they are shown as text. @param {EgressItem} item */
export function toEgressItem(item) {
  const { user, username, provider, model, hosts, state, status, bytes_out: out, bytes_in: incoming } = item
  const what = [item.purpose, provider, model].filter((name) => name !== null).join(' · ')
  const head = create('p', { class: 'text', text: `${what} → ${hosts.join(', ')}` })
  const details = create('p', { class: 'quiet' }, createTime(item.started_at))
  if (user !== null) details.append(' · ', username === null ? user : `${username} (${user})`)
  const traffic = create('span', { say: 'egressTraffic', values: { out: formatSize(out), in: formatSize(incoming) } })
  details.append(' · ', state === 'ended' ? String(status ?? '–') : create('span', { say: stateTexts[state] }), ' · ', traffic)
  if (item.cost_microdollars !== null) details.append(' · ', dollars(item.cost_microdollars))
  return create('li', {}, head, details)
}

/** The sums of everything that left the machine. @param {EgressPage} page */
export function toEgressTotals({ totals, local_only: localOnly }) {
  const values = {
    errands: totals.errands,
    requests: totals.requests,
    out: formatSize(totals.bytes_out),
    in: formatSize(totals.bytes_in),
    cost: dollars(totals.cost_microdollars),
  }
  const sums = create('span', { say: 'egressTotals', values })
  return localOnly ? [create('span', { say: 'egressLocalOnly' }), ' ', sums] : [sums]
}

/** @param {number} bytes */
function formatSize(bytes) {
  const kilobytes = bytes / 1024
  return kilobytes < 1000 ? `${kilobytes.toFixed(1)} KB` : `${(kilobytes / 1024).toFixed(1)} MB`
}
/** @param {number} microdollars */
const dollars = (microdollars) => `$${(microdollars / 1e6).toFixed(4)}`
