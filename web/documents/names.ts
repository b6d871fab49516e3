/** Where documents go that name no collection. */
export const usualCollection = 'default'

/** The service's ids have this form, and no name has it. */
export const isId = (key: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(key)
