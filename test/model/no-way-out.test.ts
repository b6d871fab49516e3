import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'

// The service in a network of its own, whose only way out is a cable with nobody at its end and a counter of what is sent into it.

const cable = `
set -e
ip link set lo up
ip link add out0 type veth peer name out1
for file in all default out0 out1; do echo 1 > /proc/sys/net/ipv6/conf/$file/disable_ipv6; done
ip address add 10.99.0.2/24 dev out0
ip link set out0 up
ip link set out1 up
ip route add default via 10.99.0.1 dev out0
ip neighbour add 10.99.0.1 lladdr 02:00:00:00:00:01 dev out0
`
const canMakeNetworks = spawnSync('unshare', ['--net', 'sh', '-c', cable]).status === 0

type Report = Readonly<{ answered: Readonly<Record<string, number>>; tried: Readonly<Record<string, number>>; packets: number }>

/** Runs no-way-out-process.ts there, with a service of these settings. */
async function runInside(settings: Record<string, string>): Promise<Report> {
  const { stdout } = await promisify(execFile)(
    'unshare',
    ['--net', 'sh', '-c', `${cable} exec "$@"`, 'sh', process.execPath, 'test/model/no-way-out-process.ts'],
    { env: { ...process.env, ...settings } },
  )
  return JSON.parse(stdout)
}

describe.skipIf(!canMakeNetworks)('in a network without anybody', () => {
  test('everything local works, and with LOCAL_ONLY not one packet tries to leave, even for a page, a download or a name', async () => {
    const { answered, tried, packets } = await runInside({ LOCAL_ONLY: 'true' })
    expect(answered).toEqual({
      predict: 200,
      stream: 200,
      chat: 200,
      encode: 200,
      add: 200,
      search: 200,
      document: 200,
      question: 200,
      feedback: 201,
      health: 200,
    })
    expect(tried).toEqual({ page: 403, named: 403, pull: 403 })
    expect(packets).toBe(0)
  })

  test('the counter moves as soon as somebody may go out', async () => {
    const { answered, packets } = await runInside({ LOCAL_ONLY: 'false' })
    expect(answered).toMatchObject({ predict: 200, document: 200 })
    expect(packets).toBeGreaterThan(0)
  })
})
