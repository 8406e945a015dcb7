/**
 * CivicPress realtime under PM2: `pm2 start ecosystem.config.cjs`, in the folder it is installed in.
 *
 * One instance: rooms live in one process, and a second one is refused the database. Secrets, such as
 * CIVIC_REALTIME_HOST_API__TOKEN, come from the environment `pm2 start` runs in.
 */
module.exports = {
  apps: [
    {
      name: 'civicpress-realtime',
      script: './node_modules/@civicpress/realtime/dist/adapter/cli.js',
      args: 'start',
      exec_mode: 'fork',
      instances: 1,
      // A graceful stop saves every room; its phases have 8 s each.
      kill_timeout: 40_000,
      exp_backoff_restart_delay: 200,
      env: {
        NODE_ENV: 'production',
        CIVIC_DATA_DIR: '/var/lib/civicpress/data',
        CIVIC_SYSTEM_DATA_DIR: '/var/lib/civicpress/.system-data',
      },
    },
  ],
};
