import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { ClientKafka } from '@nestjs/microservices';
import { Observable, timeout, TimeoutError } from 'rxjs';
import { readCommands, write } from './output';
import { membership, settings } from './settings';

type Outcome = { kind: 'reply' | 'error' | 'timeout'; values: unknown[]; error?: unknown };

/** A call is over when the Observable completes, which is when the reply marked as the last one arrives. */
function outcomeOf(replies: Observable<unknown>): Promise<Outcome> {
  const values: unknown[] = [];
  return new Promise((resolve) =>
    replies.subscribe({
      next: (value) => values.push(value),
      complete: () => resolve({ kind: 'reply', values }),
      error: (error) => resolve({ kind: error instanceof TimeoutError ? 'timeout' : 'error', values, error }),
    }),
  );
}

/** Whether the clients know partitions for replies, and no partition belongs to both. */
function haveTheirOwn(clients: ClientKafka[]): boolean {
  const [one, other] = clients.map((client) => client.getConsumerAssignments());
  const topics = ['one', 'stream'].map((name) => `${settings.prefix}-${name}.reply`);
  return topics.every((topic) => topic in one && topic in other && one[topic] !== other[topic]);
}

/** Two clients of one group, as those of a service with two instances: each reads some partitions of the replies. */
async function main(): Promise<void> {
  Logger.overrideLogger(['error', 'warn']);
  const clients = [0, 1].map(
    () =>
      new ClientKafka({
        client: { brokers: settings.brokers },
        consumer: { groupId: `${settings.prefix}-requester`, ...membership },
        subscribe: { fromBeginning: true },
      }),
  );
  for (const client of clients) {
    for (const topic of ['one', 'stream']) {
      client.subscribeToResponseOf(`${settings.prefix}-${topic}`);
    }
    await client.connect();
  }
  // The first one learns a little later that the second one has got some of its partitions.
  while (!haveTheirOwn(clients)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const run = async ({ client, topic, key, values, timeout_s }: any) => {
    const patience = { each: timeout_s * 1000 };
    const calls = values.map((value: unknown) =>
      outcomeOf(clients[client].send(topic, key == null ? value : { key, value }).pipe(timeout(patience))),
    );
    return { outcomes: await Promise.all(calls), partitions: clients[client].getConsumerAssignments() };
  };
  readCommands(run, () => Promise.all(clients.map((client) => client.close())));
  write({ event: 'ready' });
}

void main();
