/** What is typed into the dialogs stays when they are closed by mistake. */
export const addedText = $state({ name: '', text: '' })
export const addedPage = $state({ url: '' })
