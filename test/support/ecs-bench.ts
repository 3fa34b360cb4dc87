import { ECSClient } from '@aws-sdk/client-ecs';
import { AwsServer } from './aws-server';
import { makeCluster } from './ecs-cluster';
import { EcsDouble } from './ecs-double';
import { S3_CREDENTIALS } from './s3-server';

/** What containers log to, as the double of ECS keeps it. */
export const TRAINING_LOGS = { group: '/clara/training', streamPrefix: 'training' };

/** moto with a cluster, and in front of it a double of ECS that runs containers as processes; AWS of this process until it stops. */
export class EcsBench {
  #double: EcsDouble | undefined;

  private constructor(
    private readonly moto: AwsServer,
    private readonly ownEnvironment: NodeJS.ProcessEnv,
  ) {}

  /** @throws skips the suite, with the reason, when moto is not installed here */
  static async start(context: Mocha.Context): Promise<EcsBench> {
    const moto = await AwsServer.start(context);
    const bench = new EcsBench(moto, { ...process.env });
    Object.assign(process.env, S3_CREDENTIALS);
    await makeCluster(new ECSClient({ endpoint: moto.endpoint })).catch(async (error: unknown) => {
      await bench.stop();
      throw error;
    });
    return bench;
  }

  /** moto's own address, behind the double. */
  get endpoint(): string {
    return this.moto.endpoint;
  }

  /** @param workspace what containers see as `/workspace` */
  async openDouble(workspace: string): Promise<EcsDouble> {
    const double = await EcsDouble.start(this.endpoint, { workspace, logGroup: TRAINING_LOGS.group });
    this.#double = double;
    process.env.AWS_ENDPOINT_URL = double.endpoint;
    return double;
  }

  async stop(): Promise<void> {
    await this.#double?.stop();
    await this.moto.stop();
    process.env = this.ownEnvironment;
  }
}
