import { cannot, say, type Tools } from './tools.ts';

/** Restarts the device. The agent is ended with it, so that the session ends too. @returns an exit code. */
export async function reboot(tools: Tools, isDry: boolean): Promise<number> {
  const tool = await tools.find('systemctl', 'shutdown', 'reboot');
  if (!tool) return cannot('there is neither `systemctl`, `shutdown` nor `reboot` on this device');
  const args = tool.endsWith('/systemctl') ? ['reboot', '--no-block'] : tool.endsWith('/shutdown') ? ['-r', 'now'] : [];
  if (isDry) {
    await say(`would restart the device by \`${[tool, ...args].join(' ')}\`\n`);
    return 0;
  }
  await say('the device restarts now\n');
  return tools.run(tool, args);
}
