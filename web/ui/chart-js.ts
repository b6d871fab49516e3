import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  Filler,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  Tooltip,
} from 'chart.js'

Chart.register(
  BarController,
  BarElement,
  CategoryScale,
  Filler,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  Tooltip,
)

/** Draws a chart with the colours and the font of the page as it looks now. */
export function createChart(canvas: HTMLCanvasElement, config: ChartConfiguration, locale: string): Chart {
  const style = getComputedStyle(document.documentElement)
  Chart.defaults.color = style.getPropertyValue('--quiet')
  Chart.defaults.borderColor = style.getPropertyValue('--line')
  Chart.defaults.font.family = style.getPropertyValue('--sans')
  Chart.defaults.locale = locale
  const options = { responsive: true, maintainAspectRatio: false, animation: false, ...config.options } as const
  return new Chart(canvas, { ...config, options })
}
