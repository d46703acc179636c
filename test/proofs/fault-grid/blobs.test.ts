/**
 * The fault grid, where most bytes are: each fault at the start, in the middle and at the end of a layer,
 * for one client and for fifty.
 */
import { testFaultsIn } from './phases.ts'

testFaultsIn(['blob start', 'mid-blob', 'blob end'])
