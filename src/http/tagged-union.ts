import Type, { type Static, type TObject } from 'typebox'

/**
 * One of several kinds of object, told apart by one field. Unlike `Type.Union`, a value that is wrong is told what is wrong with the
 * kind that it says to be, not that it is none of them.
 */
export function taggedUnion<const Variants extends readonly TObject[]>(tag: string, variants: Variants) {
  return Type.Unsafe<Static<Variants[number]>>({
    type: 'object',
    required: [tag],
    properties: { [tag]: { type: 'string' } },
    discriminator: { propertyName: tag },
    oneOf: variants,
  })
}
