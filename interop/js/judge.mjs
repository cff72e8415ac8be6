// Reads records, one JSON object a line as bench/record/emit writes them, and
// writes what js-ipns says of each: {error, value, sequence, ttl}.
import { createInterface } from 'node:readline'
import { unmarshalIPNSRecord } from 'ipns'
import { ipnsValidator } from 'ipns/validator'

const bytes = (base64) => new Uint8Array(Buffer.from(base64, 'base64'))

for await (const text of createInterface({ input: process.stdin })) {
  const line = JSON.parse(text)
  const verdict = { error: '', value: '', sequence: '', ttl: '' }
  try {
    const raw = bytes(line.raw)
    await ipnsValidator(bytes(line.routingKey), raw)
    const record = unmarshalIPNSRecord(raw)
    verdict.value = record.value
    verdict.sequence = String(record.sequence)
    verdict.ttl = String(record.ttl ?? '')
  } catch (err) {
    verdict.error = `${err.name}: ${err.message}`
  }
  console.log(JSON.stringify(verdict))
}
