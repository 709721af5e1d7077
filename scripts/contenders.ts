/**
 * What the benchmark lets take turns beside our own placements: programs of their own, asked through their
 * standard input and answering a line each time.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Precision } from '../src/backend/numerics.js';
import type { Configuration } from '../src/configuration.js';
import type { Network } from '../src/model/network.js';
import { quantile, spreadOf } from '../src/report/quantiles.js';
import type { Spread } from '../src/report/quantiles.js';

export interface NamedMilliseconds {
  name: string;
  ms: number;
}

const script = (name: string): string =>
  fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));

/** A program that answers each line with one. */
class Answering {
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly answers: AsyncIterator<string>;

  constructor(
    private readonly name: string,
    program: string,
    words: string[],
  ) {
    this.process = spawn(program, words);
    this.process.stderr.pipe(process.stderr);
    this.answers = createInterface(this.process.stdout)[Symbol.asyncIterator]();
  }

  async ask(line: string): Promise<string> {
    this.process.stdin.write(`${line}\n`);
    const answered: IteratorResult<string, unknown> = await this.answers.next();
    if (answered.done === true) throw new Error(`${this.name} ended; its own message is above`);
    return answered.value;
  }

  close(): void {
    this.process.stdin.end();
  }
}

/** The ways of running PyTorch that were tried. */
export interface PyTorch {
  torch: string;
  /** The fastest way, which takes its turns. */
  chosen: string;
  /** Seconds per step of each way before the first turn, or why it failed. */
  tried: Record<string, number | string>;
}

/** The dense network in PyTorch (`scripts/peer.py`), in the fastest of its ways. */
export class Peer {
  private readonly seconds: number[] = [];

  private constructor(
    private readonly program: Answering,
    readonly pytorch: PyTorch,
  ) {}

  static async open(
    python: string,
    { network, data, training }: Configuration,
    threads: number,
    precision: Precision,
    device: 'cpu' | 'cuda' = 'cpu',
  ): Promise<Peer> {
    const program = new Answering('the PyTorch baseline', python, [script('peer.py')]);
    const prepare = {
      network,
      towers: 1,
      classes: data.classes,
      batch: training.batch,
      threads,
      device,
      precision,
    };
    return new Peer(program, await request<PyTorch>(program, { prepare }));
  }

  async warmUp(): Promise<void> {
    await request(this.program, { step: 2 });
  }

  async turn(): Promise<void> {
    const { seconds } = await request<{ seconds: [number] }>(this.program, { step: 1 });
    this.seconds.push(seconds[0]);
  }

  msPerStep(): Spread {
    return spreadOf(this.seconds.map((one) => one * 1000));
  }

  async layer(name: string): Promise<NamedMilliseconds> {
    const { seconds } = await request<{ seconds: number }>(this.program, { layer: name });
    return { name, ms: seconds * 1000 };
  }

  close(): void {
    this.program.close();
  }
}

async function request<Answer>(program: Answering, message: object): Promise<Answer> {
  const answer = JSON.parse(await program.ask(JSON.stringify(message))) as Answer & {
    error?: string;
  };
  if (answer.error !== undefined) throw new Error(`the PyTorch baseline: ${answer.error}`);
  return answer;
}

/** What the machine can do with all its cores, in 10⁹ per second. */
export interface Machine {
  float32Operations: number;
  /** In the type of the operands. */
  operations: number;
  /** Read and written by a copy. */
  bytes: number;
}

/** oneDNN's primitives for the conv and fc layers alone, `scripts/bare_primitives.cc`. */
export class BarePrimitives {
  private readonly names: string[];
  private readonly program: Answering;
  private readonly runs: number[][] = [];

  /** @param network dense */
  constructor(network: Network, batch: number, threads: number, precision: Precision) {
    const layers = network.layers.filter(({ parameters }) => parameters.length > 0);
    this.names = layers.map(({ name }) => name);
    this.program = new Answering('the bare primitives', process.execPath, [
      script('bare_primitives.mjs'),
      String(threads),
      precision,
      ...layers.map(({ specification, input, output }) =>
        specification.type === 'conv'
          ? `conv:${[batch, input.height, input.width, input.channels, output.height, output.width, output.channels, specification.size, specification.stride, specification.pad].join(',')}`
          : `fc:${[batch, input.height * input.width * input.channels, output.channels].join(',')}`,
      ),
    ]);
  }

  /** One untimed run of all primitives; the first also prepares them. */
  async warmUp(): Promise<void> {
    await this.program.ask('run');
  }

  async turn(): Promise<void> {
    this.runs.push((await this.program.ask('run')).trim().split(' ').map(Number));
  }

  /** The sum over the layers. */
  msPerStep(): Spread {
    return spreadOf(
      this.runs.map((run) => run.slice(0, this.names.length).reduce((sum, ms) => sum + ms, 0)),
    );
  }

  layers(): NamedMilliseconds[] {
    return this.names.map((name, layer) => ({ name, ms: this.median(layer) }));
  }

  machine(): Machine {
    const first = this.names.length;
    return {
      float32Operations: this.median(first),
      operations: this.median(first + 1),
      bytes: this.median(first + 2),
    };
  }

  private median(column: number): number {
    return quantile(
      this.runs.map((run) => run[column]!),
      0.5,
    );
  }

  close(): void {
    this.program.close();
  }
}
