/**
 * What keeps this machine from running Latchkey, in a sentence, or null. On Linux the pinned Node.js comes with the
 * packages and any from 20 can install them; for macOS there is no such package, so the one that is there has to do.
 * @param {{ platform: string, arch: string, node: string, glibc: string | undefined }} machine
 * @returns {string | null}
 */
export function platformProblem({ platform, arch, node, glibc }) {
  const major = Number.parseInt(node, 10);
  if (!(major >= 20)) return `Node.js ${node} is too old: 20 or later is needed`;
  if (platform === 'win32') return 'Windows itself is not supported: use a Linux of the Windows Subsystem for Linux';
  if (!['linux', 'darwin'].includes(platform) || !['x64', 'arm64'].includes(arch)) {
    return `${platform}-${arch} is not supported: Linux and macOS are, on x64 and arm64`;
  }
  if (platform === 'darwin' && major < 24) {
    return `Node.js ${node} is too old: on macOS, where none comes with the packages, 24 or later is needed`;
  }
  if (platform === 'linux' && !glibc) {
    return 'this Linux has no glibc, which Node.js and PostgreSQL of the packages need: use a Debian-based image, say';
  }
  return null;
}

/** The machine that this process runs on. */
export function thisMachine() {
  const { platform, arch, versions, report } = process;
  report.excludeNetwork = true;
  return { platform, arch, node: versions.node, glibc: report.getReport().header.glibcVersionRuntime };
}
