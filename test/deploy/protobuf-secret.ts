/** Helm writes its own records, which are Secrets, as protobuf: four bytes that say so, then a `runtime.Unknown` with the object in its second field. */
export function readProtobufSecret(bytes: Buffer): Readonly<Record<string, unknown>> {
  const secret = fieldsOf(bytesOf(fieldsOf(bytes.subarray(4)), 2))
  const metadata = fieldsOf(bytesOf(secret, 1))
  return {
    kind: 'Secret',
    apiVersion: 'v1',
    metadata: { name: bytesOf(metadata, 1).toString(), labels: mapOf(metadata, 11, 'utf8') },
    data: mapOf(secret, 2, 'base64'),
    type: bytesOf(secret, 3).toString(),
  }
}

type Field = Readonly<{ number: number; bytes: Buffer }>

/** The fields that have bytes: texts, objects, maps. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = []
  let place = 0
  function readNumber(): number {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = bytes[place++] ?? 0
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (place < bytes.length) {
    const tag = readNumber()
    const size = readNumber()
    if ((tag & 7) !== 2) continue
    fields.push({ number: Math.floor(tag / 8), bytes: bytes.subarray(place, place + size) })
    place += size
  }
  return fields
}

function bytesOf(fields: readonly Field[], number: number): Buffer {
  return fields.find((field) => field.number === number)?.bytes ?? Buffer.alloc(0)
}

/** Maps are repeated pairs of a key and a value. */
function mapOf(fields: readonly Field[], number: number, encoding: 'utf8' | 'base64'): Readonly<Record<string, string>> {
  const pairs = fields.filter((field) => field.number === number).map(({ bytes }) => fieldsOf(bytes))
  return Object.fromEntries(pairs.map((pair) => [bytesOf(pair, 1).toString(), bytesOf(pair, 2).toString(encoding)]))
}
