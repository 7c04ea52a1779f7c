import type { HttpContext } from '../context.ts';
import type { Route } from '../route.ts';
import { agentRoutes } from './agents.ts';
import { deviceRoutes } from './devices.ts';
import { grantRoutes } from './grants.ts';
import { ledgerKeysRoutes } from './ledger-keys.ts';
import { ledgerRoutes } from './ledger.ts';
import { peopleRoutes } from './people.ts';
import { requestRoutes } from './requests.ts';
import { secretRoutes } from './secrets.ts';
import { sessionRoutes } from './sessions.ts';
import { wellKnownRoutes } from './well-known.ts';

/** Everything that the API does. */
export function apiRoutes(context: HttpContext): readonly Route[] {
  const routes: Route[] = [
    ...requestRoutes(context),
    ...grantRoutes(context),
    ...secretRoutes(context),
    ...sessionRoutes(context),
    ...ledgerRoutes(context),
    ...ledgerKeysRoutes(context),
    ...peopleRoutes(context),
    ...deviceRoutes(context),
    ...agentRoutes(context),
    ...wellKnownRoutes(context, () => routes),
  ];
  return routes;
}
