/** What the quick start prints when it serves. */
export interface BannerFacts {
  readonly endpoint: string
  readonly envFile: string
  readonly keyId: string
  /** Path of this process's Node, which runs the SDK where the system's is too old. */
  readonly node: string
}

/** The endpoint, the env file and commands to try. */
export function bannerOf({ endpoint, envFile, keyId, node }: BannerFacts): string {
  return `
p11kms serves on ${endpoint}
Credentials and endpoint: ${envFile}
First master key: ${keyId} (alias/demo)

Try, in another terminal, in the checkout (Debian's package of the AWS CLI is awscli):
  . ${shellQuote(envFile)}
  aws kms generate-data-key --key-id alias/demo --key-spec AES_256 --endpoint-url "$P11KMS_ENDPOINT"
  aws kms list-aliases --endpoint-url "$P11KMS_ENDPOINT"
  ${shellQuote(node)} -e 'const {KMS}=require("@aws-sdk/client-kms"); new KMS().generateDataKey({KeyId:"alias/demo",KeySpec:"AES_256"}).then(console.log)'
  ${shellQuote(node)} -e 'const {RPCClient}=require("@alicloud/pop-core"),e=process.env; new RPCClient({endpoint:e.P11KMS_ENDPOINT,apiVersion:"2016-01-20",accessKeyId:e.ALIBABA_CLOUD_ACCESS_KEY_ID,accessKeySecret:e.ALIBABA_CLOUD_ACCESS_KEY_SECRET}).request("GenerateDataKey",{KeyId:"alias/demo"}).then(console.log)'

Ctrl-C stops it; requests in flight are finished.`
}

/** What `p11kms dev` says beside what a shell sources. */
export function devBannerOf({ endpoint, envFile, keyId }: BannerFacts): string {
  return `
p11kms serves on ${endpoint}, from a token that is gone when this ends
Credentials and endpoint: the lines above, also in ${envFile}
First master key: ${keyId} (alias/demo)

Ctrl-C stops it and removes everything that it made.`
}

function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
