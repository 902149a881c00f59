import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, KafkaContext, MessagePattern, Payload, RpcException, ServerKafka } from '@nestjs/microservices';
import { concat, concatMap, delay, from, Observable, of, throwError, timer } from 'rxjs';
import { ignoreElements } from 'rxjs/operators';
import { headersOf, readCommands, write } from './output';
import { membership, settings } from './settings';

/** How long the value "held" is held, until the process ends. */
let holdS = 0;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

@Controller()
class Responder {
  /** Values arrive as strings, or parsed where they look like a JSON object or array. */
  @MessagePattern(`${settings.prefix}-one`)
  async one(@Payload() value: any, @Ctx() context: KafkaContext): Promise<unknown> {
    write({ event: 'began', value, headers: headersOf(context.getMessage().headers ?? {}) });
    switch (value) {
      case 'boom':
        throw new RpcException('boom');
      case 'boom-object':
        throw new RpcException({ status: 'not_found', message: 'no such thing' });
      case 'boom-plain':
        throw new Error('an error that is no RpcException');
      case 'null':
        return null;
      case 'held':
        await pause(holdS * 1000);
    }
    return typeof value === 'string' ? value.toUpperCase() : value;
  }

  /** Three replies to one request, or what the value says. */
  @MessagePattern(`${settings.prefix}-stream`)
  stream(@Payload() value: string): Observable<string> {
    const items = from([1, 2, 3]).pipe(concatMap((i) => of(`${value}-${i}`).pipe(delay(i > 1 ? 20 : 0))));
    switch (value) {
      case 'late': // it ends 50 ms after its last value
        return concat(items, timer(50).pipe(ignoreElements()));
      case 'boom': // it fails after its first value
        return concat(of('boom-1'), throwError(() => new RpcException('boom mid-stream')));
    }
    return items;
  }
}

@Module({ controllers: [Responder] })
class ResponderModule {}

class AnnouncingServer extends ServerKafka {
  override async bindEvents(consumer: any): Promise<void> {
    consumer.on(consumer.events.GROUP_JOIN, () => write({ event: 'ready' }));
    return super.bindEvents(consumer);
  }
}

async function main(): Promise<void> {
  const app = await NestFactory.createMicroservice(ResponderModule, {
    logger: ['error', 'warn'],
    strategy: new AnnouncingServer({
      client: { brokers: settings.brokers },
      consumer: { groupId: `${settings.prefix}-responder`, ...membership },
      subscribe: { fromBeginning: true },
    }),
  });
  readCommands(
    async (command) => (holdS = command.hold_s),
    () => app.close(),
  );
  await app.listen();
}

void main();
