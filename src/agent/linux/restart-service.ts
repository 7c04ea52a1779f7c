import { cannot, say, UsageError, type Tools } from './tools.ts';

/** Restarts a service of systemd's and tells how it is afterwards. @returns an exit code. */
export async function restartService(tools: Tools, service: string | undefined, isDry: boolean): Promise<number> {
  if (service === undefined || !/^[\w@.:\\-]{1,200}$/.test(service) || service.startsWith('-')) {
    throw new UsageError('`--service` names the service');
  }
  const systemctl = await tools.find('systemctl');
  if (!systemctl) return cannot('there is no `systemctl` on this device, so nothing can be restarted by it');
  if (isDry) {
    await say(`would restart ${service}, which is now:\n`);
  } else {
    const failed = await tools.run(systemctl, ['restart', '--', service]);
    if (failed !== 0) return failed;
    await say(`${service} is restarted:\n`);
  }
  const properties = '--property=LoadState,ActiveState,SubState,Result,ActiveEnterTimestamp';
  return tools.run(systemctl, ['show', properties, '--', service]);
}
