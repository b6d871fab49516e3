import { takeCoverage } from 'node:v8'
import { afterAll } from 'vitest'

// Workers are ended before they would write what they have counted.
afterAll(takeCoverage)
