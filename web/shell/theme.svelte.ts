export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const storageKey = 'theme'
const system = matchMedia('(prefers-color-scheme: dark)')

let chosen = $state<Theme>(themes.find((theme) => theme === localStorage.getItem(storageKey)) ?? 'system')
let systemIsDark = $state(system.matches)
system.addEventListener('change', ({ matches }) => {
  systemIsDark = matches
})

export const theme = (): Theme => chosen
export const isDark = (): boolean => (chosen === 'system' ? systemIsDark : chosen === 'dark')

export function chooseTheme(next: Theme): void {
  chosen = next
  localStorage.setItem(storageKey, next)
}
