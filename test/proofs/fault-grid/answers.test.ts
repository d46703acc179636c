/**
 * The fault grid, where a pull begins: each fault while a token is asked for, a tag is resolved and a
 * manifest is fetched, for one client and for fifty.
 */
import { testFaultsIn } from './phases.ts'

testFaultsIn(['token', 'head', 'manifest'])
