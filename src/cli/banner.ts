/** What the quick start prints when it serves. */
export interface BannerFacts {
  readonly endpoint: string
  readonly envFile: string
  readonly keyId: string
}

/** The endpoint, the env file and commands to try. */
export function bannerOf({ endpoint, envFile, keyId }: BannerFacts): string {
  return `
p11kms serves on ${endpoint}
Credentials and endpoint: ${envFile}
First master key: ${keyId} (alias/demo)

Try, in another terminal:
  . ${shellQuote(envFile)}
  aws kms generate-data-key --key-id alias/demo --key-spec AES_256 --endpoint-url "$P11KMS_ENDPOINT"
  node -e 'const {KMS}=require("@aws-sdk/client-kms"); new KMS().generateDataKey({KeyId:"alias/demo",KeySpec:"AES_256"}).then(console.log)'

Ctrl-C stops it; requests in flight are finished.`
}

function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
