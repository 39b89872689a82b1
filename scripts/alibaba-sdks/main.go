package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
	dk "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/openapi"
	sdk "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/sdk"
	transfer "github.com/aliyun/alibabacloud-dkms-transfer-go-sdk/sdk"
)

func must(err error) {
	if err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}
func check(ok bool, what string) {
	if !ok {
		fmt.Println("WRONG", what)
		os.Exit(1)
	}
	fmt.Println("ok", what)
}

func main() {
	content, err := os.ReadFile(os.Args[2])
	must(err)
	cfg := &dk.Config{Protocol: tea.String("http"), Endpoint: tea.String(os.Args[1]), ClientKeyContent: tea.String(string(content)), Password: tea.String(os.Args[3])}
	key := os.Args[4]
	c, err := sdk.NewClient(cfg)
	must(err)
	e, err := c.Encrypt(&sdk.EncryptRequest{KeyId: tea.String(key), Plaintext: []byte("hello"), Aad: []byte("aad")})
	must(err)
	d, err := c.Decrypt(&sdk.DecryptRequest{KeyId: tea.String(key), CiphertextBlob: e.CiphertextBlob, Iv: e.Iv, Algorithm: e.Algorithm, Aad: []byte("aad")})
	must(err)
	check(string(d.Plaintext) == "hello", "Encrypt, Decrypt (Go, PKCS#12 read by x/crypto)")
	a, err := c.AdvanceEncrypt(&sdk.AdvanceEncryptRequest{KeyId: tea.String("alias/demo"), Plaintext: []byte("hello")})
	must(err)
	ad, err := c.AdvanceDecrypt(&sdk.AdvanceDecryptRequest{CiphertextBlob: a.CiphertextBlob})
	must(err)
	check(string(ad.Plaintext) == "hello", "AdvanceEncrypt, AdvanceDecrypt")
	g, err := c.AdvanceGenerateDataKey(&sdk.AdvanceGenerateDataKeyRequest{KeyId: tea.String(key), NumberOfBytes: tea.Int32(32)})
	must(err)
	check(len(g.Plaintext) == 32, "AdvanceGenerateDataKey")
	for _, spec := range []string{"RSA_2048", "EC_P256", "EC_P256K"} {
		p, err := c.AdvanceGenerateDataKeyPair(&sdk.AdvanceGenerateDataKeyPairRequest{KeyId: tea.String(key), KeyPairSpec: tea.String(spec), KeyFormat: tea.String("PEM")})
		must(err)
		o, err := c.AdvanceDecrypt(&sdk.AdvanceDecryptRequest{CiphertextBlob: p.PrivateKeyCiphertextBlob})
		must(err)
		check(bytes.Equal(o.Plaintext, p.PrivateKeyPlaintext), "AdvanceGenerateDataKeyPair "+spec)
		block, _ := pem.Decode(p.PrivateKeyPlaintext)
		_, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		if spec != "EC_P256K" {
			must(err)
		}
		pub, _ := pem.Decode(p.PublicKey)
		_, err = x509.ParsePKIXPublicKey(pub.Bytes)
		if spec != "EC_P256K" {
			must(err)
		}
	}
	t, err := transfer.NewClientWithAccessKey("us-east-1", "x", "y", cfg)
	must(err)
	er := kms.CreateEncryptRequest()
	er.KeyId = key
	er.Plaintext = base64.StdEncoding.EncodeToString([]byte("plain"))
	er.EncryptionContext = `{"b":"2","a":"1"}`
	ek, err := t.Encrypt(er)
	must(err)
	dr := kms.CreateDecryptRequest()
	dr.CiphertextBlob = ek.CiphertextBlob
	dr.EncryptionContext = `{"a":"1","b":"2"}`
	de, err := t.Decrypt(dr)
	must(err)
	check(de.Plaintext == er.Plaintext && de.KeyId == ek.KeyId && de.KeyVersionId == ek.KeyVersionId, "transfer Encrypt, Decrypt with a context")
	raw, _ := base64.StdEncoding.DecodeString(ek.CiphertextBlob)
	aad, _ := transfer.EncodeUserEncryptionContext(er.EncryptionContext)
	x, err := c.AdvanceDecrypt(&sdk.AdvanceDecryptRequest{CiphertextBlob: append([]byte{0x24, 0, 2}, raw...), Aad: aad})
	must(err)
	check(string(x.Plaintext) == er.Plaintext, "transfer's OpenAPI blob, prefixed, by AdvanceDecrypt")
	adv, err := c.AdvanceEncrypt(&sdk.AdvanceEncryptRequest{KeyId: tea.String(key), Plaintext: []byte("text"), Aad: aad})
	must(err)
	dr.CiphertextBlob = base64.StdEncoding.EncodeToString(adv.CiphertextBlob[3:])
	de, err = t.Decrypt(dr)
	must(err)
	check(de.Plaintext == "text", "Advance blob without its prefix, by transfer's Decrypt")
	gr := kms.CreateGenerateDataKeyRequest()
	gr.KeyId = key
	gr.NumberOfBytes = requests.NewInteger(32)
	gk, err := t.GenerateDataKey(gr)
	must(err)
	dr = kms.CreateDecryptRequest()
	dr.CiphertextBlob = gk.CiphertextBlob
	de, err = t.Decrypt(dr)
	must(err)
	check(de.Plaintext == gk.Plaintext, "transfer GenerateDataKey, Decrypt")
	dr.EncryptionContext = `{"a":"1"}`
	_, err = t.Decrypt(dr)
	check(err != nil, fmt.Sprint("transfer Decrypt with another context refused: ", err))
}
