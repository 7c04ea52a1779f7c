import { cannot, findTool, runTool, say, UsageError } from './tools.ts';

/** Restarts a service of systemd's and tells how it is afterwards. @returns an exit code. */
export async function restartService(service: string | undefined, isDry: boolean): Promise<number> {
  if (service === undefined || !/^[\w@.:\\-]{1,200}$/.test(service) || service.startsWith('-')) {
    throw new UsageError('`--service` names the service');
  }
  const systemctl = await findTool('systemctl');
  if (!systemctl) return cannot('there is no `systemctl` on this device, so nothing can be restarted by it');
  if (isDry) {
    await say(`would restart ${service}, which is now:\n`);
  } else {
    const failed = await runTool(systemctl, ['restart', '--', service]);
    if (failed !== 0) return failed;
    await say(`${service} is restarted:\n`);
  }
  const properties = '--property=LoadState,ActiveState,SubState,Result,ActiveEnterTimestamp';
  return runTool(systemctl, ['show', properties, '--', service]);
}
