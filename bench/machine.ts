import { cpus, totalmem } from 'node:os';

/** What figures were measured on: enough to compare them, nothing that names the machine. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly postgresql?: string;
}

export function thisMachine(postgresql?: string): Machine {
  const processors = cpus();
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `${process.platform} ${process.arch}`,
    node: process.versions.node,
    ...(postgresql !== undefined && { postgresql }),
  };
}

export function describeMachine(machine: Machine): string {
  const { processor, cores, memoryGiB, system, node, postgresql } = machine;
  const database = postgresql === undefined ? '' : `, PostgreSQL ${postgresql}`;
  return `${processor}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}${database}`;
}
