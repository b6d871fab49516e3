// Writes five rows in each transaction, without end, to be killed: node writing-process.ts URL
import { openStorage } from '../../src/storage/open-storage.ts'

const { db } = await openStorage({ url: process.argv[2] ?? '' })
for (let number = 0; ; number += 1) {
  await db.transaction().execute(async (transaction) => {
    for (let row = 0; row < 5; row += 1)
      await transaction
        .insertInto('revokedTokens')
        .values({ tokenId: `${number}-${row}`, expiresAt: String(number) })
        .execute()
  })
}
