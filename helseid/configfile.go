package helseid

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/jose"
)

// maxConfigFile bounds a configuration file, in bytes.
const maxConfigFile = 1 << 20

// LoadConfig reads the client configuration that HelseID Selvbetjening hands
// out as a JSON file. The file holds the client's private key: keep it out of
// version control and readable by the service alone. Errors wrap ErrConfig and
// never quote the file.
func LoadConfig(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w: is the path right?", ErrConfig, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(data) > maxConfigFile {
		return Config{}, fmt.Errorf("%w: %s is larger than 1 MiB: it is no client configuration", ErrConfig, path)
	}
	config, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// ParseConfig reads the same from memory, for instance from a secret store. It
// uses the members authority, clientId and privateJwk (a JWK as a string, or as
// an object), and keeps clientName, grantTypes, scopes, redirectUris and
// postLogoutRedirectUris as information; others are ignored. All mistakes are
// reported at once. A file without authority or clientId is read too: New
// demands them, so they may come from elsewhere.
func ParseConfig(data []byte) (Config, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // files from Windows
	object, err := jose.ParseObject(data)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w: the file from HelseID Selvbetjening is one JSON object", ErrConfig, err)
	}
	file := configFile{object: object}
	config := Config{
		Issuer:   file.text("authority"),
		ClientID: file.text("clientId"),
		Key:      file.key(),
		Registered: Registration{
			ClientName:             file.text("clientName"),
			GrantTypes:             file.texts("grantTypes"),
			Scopes:                 file.texts("scopes"),
			RedirectURIs:           file.texts("redirectUris"),
			PostLogoutRedirectURIs: file.texts("postLogoutRedirectUris"),
		},
	}
	return config, configError(file.errs)
}

// configFile collects mistakes while its members are read.
type configFile struct {
	object jose.Object
	errs   []error
}

func (f *configFile) fail(name, what string) {
	f.errs = append(f.errs, fmt.Errorf("the member %s %s", name, what))
}

func (f *configFile) text(name string) string {
	value := f.object.Get(name)
	f.checkSpelling(name)
	text, ok := value.Text()
	if !ok && !value.Absent() {
		f.fail(name, "is not a string")
	}
	return text
}

// checkSpelling tells of a member that is there in another spelling only.
func (f *configFile) checkSpelling(name string) {
	if f.object.Has(name) {
		return
	}
	for _, other := range f.object.Names() {
		if strings.EqualFold(other, name) {
			f.fail(name, "is missing: there is "+other+", but names are case-sensitive")
		}
	}
}

func (f *configFile) texts(name string) []string {
	value := f.object.Get(name)
	if value.Absent() {
		return nil
	}
	values, ok := value.Array()
	texts := make([]string, len(values))
	for i := range values {
		var isText bool
		texts[i], isText = values[i].Text()
		ok = ok && isText
	}
	if !ok {
		f.fail(name, "is not an array of strings")
		return nil
	}
	return texts
}

func (f *configFile) key() *clientassertion.Key {
	value := f.object.Get("privateJwk")
	f.checkSpelling("privateJwk")
	if value.Absent() {
		if f.object.Has("rsaPrivateKey") {
			f.fail("privateJwk", "is missing: rsaPrivateKey, the same key in .NET's XML form, is not read; download the configuration again or add the key as a JWK")
		} else {
			f.fail("privateJwk", "is missing: the file holds no private key")
		}
		return nil
	}
	jwk, ok := value.Text()
	if !ok {
		jwk = value.Raw()
	}
	key, err := clientassertion.ParseKey([]byte(jwk), clientassertion.KeyOptions{})
	if err != nil {
		f.errs = append(f.errs, fmt.Errorf("the member privateJwk: %w", err))
		return nil
	}
	return key
}
