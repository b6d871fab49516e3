import type { ChartConfiguration, ChartDataset } from 'chart.js'
import { colorOf } from '../../ui/colors.ts'
import { formatValue } from './format.ts'
import { bridgeGaps, type ChartData, isAlone, type Series } from './series.ts'

export type Drawn = Readonly<{
  /** Along the axis. */
  labels: readonly string[]
  /** In full, of the point that is pointed at. */
  titles: readonly string[]
  nameOf: (series: Series) => string
}>

/** A chart as Chart.js draws it: a quiet grid, few ticks, no dots but where a point stands alone. */
export function chartConfig({ kind, unit, series }: ChartData, { labels, titles, nameOf }: Drawn): ChartConfiguration {
  const isStacked = kind === 'bars'
  return {
    type: isStacked ? 'bar' : 'line',
    data: { labels: [...labels], datasets: series.map((one) => toDataset(one, { kind, unit }, nameOf(one))) },
    options: {
      interaction: { mode: 'index', intersect: false },
      plugins: {
        legend: { display: false },
        tooltip: {
          callbacks: {
            title: ([item]) => titles[item?.dataIndex ?? 0] ?? '',
            label: ({ dataset, parsed }) =>
              parsed.y === null ? '' : ` ${dataset.label ?? ''}: ${formatValue(Number(parsed.y), unit)}`,
          },
        },
      },
      scales: {
        x: { stacked: isStacked, grid: { display: false }, ticks: { maxTicksLimit: 7, maxRotation: 0, autoSkipPadding: 16 } },
        y: {
          stacked: isStacked,
          beginAtZero: unit !== 'loss',
          border: { display: false },
          ...(unit === 'share' ? { max: 1 } : {}),
          ...(unit === 'count' ? { suggestedMax: 4 } : {}),
          ticks: {
            maxTicksLimit: 5,
            ...(unit === 'count' ? { precision: 0 } : {}),
            callback: (value) => formatValue(Number(value), unit),
          },
        },
      },
    },
  }
}

function toDataset(
  { values, color, isDashed = false, bridged = 0 }: Series,
  { kind, unit }: Pick<ChartData, 'kind' | 'unit'>,
  label: string,
): ChartDataset<'bar' | 'line'> {
  const data = [...bridgeGaps(values, bridged)]
  const tint = colorOf(color)
  if (kind === 'bars')
    return { type: 'bar', label, data, backgroundColor: tint, categoryPercentage: 0.95, barPercentage: 0.9, maxBarThickness: 24 }
  return {
    type: 'line',
    label,
    data,
    borderColor: tint,
    backgroundColor: tint,
    borderWidth: 1.75,
    ...(isDashed ? { borderDash: [5, 3] } : {}),
    pointRadius: data.map((_, index) => (isAlone(data, index) ? 2 : 0)),
    pointHitRadius: 8,
    // What is known at some steps alone is one line all the same.
    spanGaps: unit === 'loss',
    ...(unit === 'count' ? { stepped: 'middle' } : { cubicInterpolationMode: 'monotone' }),
  }
}
