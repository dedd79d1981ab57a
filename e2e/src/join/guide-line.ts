/** The guide's own line, word for word, also where it has no space before a backslash. @source worker-guide.rst, Docker */
export const GUIDE_LINE = `docker run -d --name "MY_WORKER_NAME" \\
           --hostname "MY_WORKER_NAME" \\
           --env "IEXEC_WORKER_NAME=MY_WORKER_NAME" \\
           --env "IEXEC_CORE_HOST=public-pool.iex.ec" \\
           --env "IEXEC_CORE_PORT=18090" \\
           --env "IEXEC_WORKER_WALLET_PATH=/iexec-wallet/wallet.json" \\
           --env "IEXEC_WORKER_WALLET_PASSWORD=MY_PASSWORD" \\
           -v PATH_TO_MY_WALLET_FILE:/iexec-wallet/wallet.json \\
           -v /tmp/iexec-worker:/tmp/iexec-worker\\
           -v /var/run/docker.sock:/var/run/docker.sock \\
           iexechub/iexec-worker:3.X.X`;

/** Its blanks, as the guide tells the reader to fill them. */
export interface Filled {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly password: string;
  readonly walletPath: string;
  readonly image: string;
}

export const fillGuideLine = (filled: Filled): string =>
  GUIDE_LINE.replaceAll("MY_WORKER_NAME", filled.name)
    .replace("public-pool.iex.ec", filled.host)
    .replace("18090", String(filled.port))
    .replace("MY_PASSWORD", filled.password)
    .replace("PATH_TO_MY_WALLET_FILE", filled.walletPath)
    .replace("iexechub/iexec-worker:3.X.X", filled.image);
