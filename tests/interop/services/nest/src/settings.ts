const env = process.env;

/** What the harness gives. */
export const settings = {
  brokers: (env.BOOTSTRAP ?? '').split(','),
  prefix: env.PREFIX ?? '',
};

/** So that a member that was killed is replaced soon. */
export const membership = { sessionTimeout: 6000, heartbeatInterval: 1000 };
