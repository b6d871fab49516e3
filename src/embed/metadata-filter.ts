type Value = string | number | boolean | null

/**
 * What the metadata of a passage must be, all of it: a value (or one of several values) for each field, or bounds. A field of an object
 * inside the metadata is named with dots: "author.name".
 */
export type MetadataFilter = Readonly<
  Record<
    string,
    | Value
    | readonly Value[]
    | Readonly<{
        eq?: Value
        ne?: Value
        in?: readonly Value[]
        gt?: number | string
        gte?: number | string
        lt?: number | string
        lte?: number | string
      }>
  >
>
