import { createInterface } from 'node:readline';

/** Writes what the harness reads: one JSON object a line. */
export function write(fields: object): void {
  process.stdout.write(JSON.stringify(fields) + '\n');
}

/** Names and values in order, the values as Base64. */
export function headersOf(headers: Record<string, unknown>): [string, string][] {
  return Object.entries(headers).map(([name, value]) => [
    name,
    Buffer.from(Buffer.isBuffer(value) ? value : String(value ?? '')).toString('base64'),
  ]);
}

/** Runs the commands of standard input, and ends the service when that is closed. */
export function readCommands(run: (command: any) => Promise<unknown>, close: () => Promise<unknown>): void {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const command = JSON.parse(line);
    run(command).then(
      (result) => write({ id: command.id, result }),
      (error) => write({ id: command.id, error: String(error) }),
    );
  });
  lines.on('close', () => {
    setTimeout(() => process.exit(0), 1000).unref(); // whose fetches end late
    void close().then(() => process.exit(0));
  });
}
