/** Narrows a query by a value where there is one: `.$call(ifGiven(name, (query, name) => query.where('name', '=', name)))`. */
export function ifGiven<Value, Query>(
  value: Value | undefined,
  narrow: (query: Query, value: Value) => Query,
): (query: Query) => Query {
  return (query) => (value === undefined ? query : narrow(query, value))
}
