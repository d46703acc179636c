/** Every command by its name, as this program has it. */
import { examine } from '../doctor.ts'
import { openMaintenance } from '../maintenance.ts'
import { openOperator } from '../operator.ts'
import { openWarming } from '../warming.ts'
import { createAudit } from './audit.ts'
import { checkConfig } from './check-config.ts'
import { clientConfig } from './client-config.ts'
import type { Command } from './command.ts'
import { completion } from './completion.ts'
import { config } from './config.ts'
import { createContent } from './content.ts'
import { createDoctor } from './doctor.ts'
import { createExplain } from './explain.ts'
import { createGc } from './gc.ts'
import { offline } from './offline.ts'
import { createRequests } from './requests.ts'
import { createAllow, createDeny } from './rules.ts'
import { serve } from './serve.ts'
import { status } from './status.ts'
import { createTokens } from './tokens.ts'
import { createUsers } from './users.ts'
import { createVerify } from './verify.ts'
import { createWarm } from './warm.ts'

export const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['serve', serve],
  ['config', config],
  ['check-config', checkConfig],
  ['status', status],
  ['offline', offline],
  ['gc', createGc(openMaintenance)],
  ['verify', createVerify(openMaintenance)],
  ['client-config', clientConfig],
  ['warm', createWarm({ openWarming, openOperator })],
  ['allow', createAllow(openOperator)],
  ['deny', createDeny(openOperator)],
  ['requests', createRequests(openOperator)],
  ['explain', createExplain(openOperator)],
  ['users', createUsers(openOperator)],
  ['tokens', createTokens(openOperator)],
  ['content', createContent(openOperator)],
  ['audit', createAudit(openOperator)],
  ['doctor', createDoctor(examine)],
  ['completion', completion],
])
