package helseid

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/jose"
)

// maxConfigFile bounds a configuration file, in bytes.
const maxConfigFile = 1 << 20

// LoadConfig reads the client configuration that HelseID Selvbetjening hands out as a
// JSON file, from disk or from a secret that is mounted as a file. The file holds the
// client's private key: keep it out of version control and readable only by the
// service. It accepts the same forms as [ParseConfig]. Errors wrap [ErrConfig] and
// never quote the file.
func LoadConfig(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w: is the path right?", ErrConfig, err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	config, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// ParseConfig reads the same configuration from memory. It is meant for containers:
// give it the value of an environment variable or of a secret store,
//
//	config, err := helseid.ParseConfig([]byte(os.Getenv("HELSEID_CLIENT")))
//
// as the file's text, in Base64 or as a JSON string; 1 MiB at most.
//
// It uses the members authority, clientId and privateJwk (a JWK as a string or as an
// object, or any other form that [clientassertion.ParseKey] reads), and keeps
// clientName, grantTypes, scopes, redirectUris and postLogoutRedirectUris as
// information. A string in place of a list is split at its spaces. Information of
// another type is left out and is not an error. Other members are ignored. White
// space around values is removed.
//
// The section of an appsettings.json that .NET applications have is read too, with
// its comments: HelseID, as HelseID.Library documents it, HelseIdConfiguration,
// HelseIdWebKonfigurasjon or HelseIdWorkerKonfigurasjon, with ClientId, one of
// Authority, StsUrl and IssuerUri, one of PrivateJwk, Jwk and ClientSecret (the JWK),
// Scope or Scopes, and Algorithm. Their case does not matter, as in .NET.
//
// All mistakes are reported at once. A file without authority or clientId is
// accepted: [New] requires both, so they can be set elsewhere.
func ParseConfig(data []byte) (Config, error) {
	file, err := readConfigFile(data)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	config := Config{
		Issuer:   file.text("authority"),
		ClientID: file.text("clientId"),
		Key:      file.key(),
		Registered: Registration{
			ClientName:             file.info("clientName"),
			GrantTypes:             file.infos("grantTypes"),
			Scopes:                 file.infos("scopes"),
			RedirectURIs:           file.infos("redirectUris"),
			PostLogoutRedirectURIs: file.infos("postLogoutRedirectUris"),
		},
	}
	return config, configError(file.errs)
}

// configFile collects mistakes while its members are read.
type configFile struct {
	object  jose.Object
	section string // of an appsettings.json, or ""
	errs    []error
}

// sections are the names of the sections in which .NET applications keep the client:
// that of HelseID.Library, and those of Folkehelseinstituttet's library.
var sections = []string{"HelseID", "HelseIdConfiguration", "HelseIdWebKonfigurasjon", "HelseIdWorkerKonfigurasjon"}

// netNames are the names that .NET's libraries use for a member in their section.
var netNames = map[string][]string{
	"authority":  {"Authority", "StsUrl", "IssuerUri"},
	"privateJwk": {"PrivateJwk", "Jwk", "ClientSecret"},
	"scopes":     {"Scopes", "Scope"},
}

func readConfigFile(data []byte) (*configFile, error) {
	if len(data) > maxConfigFile {
		return nil, errors.New("it is larger than 1 MiB: it is no client configuration")
	}
	if strings.HasPrefix(string(data), "\xff\xfe") || strings.HasPrefix(string(data), "\xfe\xff") {
		return nil, errors.New("it is UTF-16: save the file, one JSON object, as UTF-8")
	}
	text := jose.UnwrapJSON(data)
	object, err := jose.ParseObject(text)
	if err != nil {
		if plain, ok := withoutComments(string(text)); ok {
			object, err = jose.ParseObject([]byte(plain))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the file from HelseID Selvbetjening is one JSON object", err)
	}
	if object.Has("kty") || object.Has("keys") {
		return nil, errors.New("it is a key and no client configuration: read it with clientassertion.ParseKey, and set Config.Issuer, Config.ClientID and Config.Key")
	}
	file := &configFile{object: object}
	if !file.flat() {
		return file, file.enterSection()
	}
	return file, nil
}

// flat reports that the members are at the top of the file, not in a section.
func (f *configFile) flat() bool {
	return slices.ContainsFunc(f.object.Names(), func(name string) bool {
		return strings.EqualFold(name, "authority") || strings.EqualFold(name, "clientId") ||
			strings.EqualFold(name, "privateJwk") || name == "rsaPrivateKey"
	})
}

// enterSection continues in the .NET section that holds a client, if there is one.
func (f *configFile) enterSection() error {
	var found []configFile
	for _, name := range f.object.Names() {
		known := slices.ContainsFunc(sections, func(section string) bool { return strings.EqualFold(section, name) })
		if object, ok := f.object.Get(name).Object(); ok && known {
			found = append(found, configFile{object: object, section: name})
		}
	}
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(section configFile) bool {
			_, value := section.member("clientId")
			return value.Empty()
		})
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		*f = found[0]
		return nil
	}
	names := make([]string, len(found))
	for i, section := range found {
		names[i] = section.section
	}
	return fmt.Errorf("it has several sections with a client, %s: leave one", strings.Join(names, " and "))
}

func (f *configFile) fail(name, what string) {
	f.errs = append(f.errs, fmt.Errorf("the member %s %s", name, what))
}

// member finds a member by its exact name, or in a section by any of .NET's names in
// any case. If a section has several of them, their values must be equal.
func (f *configFile) member(name string) (string, jose.Value) {
	if f.section == "" {
		f.checkSpelling(name)
		return name, f.object.Get(name)
	}
	names := netNames[name]
	if names == nil {
		names = []string{name}
	}
	foundName, found := names[0], jose.Value{}
	for _, candidate := range names {
		for _, other := range f.object.Names() {
			value := f.object.Get(other)
			if !strings.EqualFold(candidate, other) || value.Empty() {
				continue
			}
			if !found.Empty() && found.Raw() != value.Raw() {
				f.fail(foundName, "of the section "+f.section+" says another thing than "+other)
			}
			if found.Empty() {
				foundName, found = other, value
			}
		}
	}
	return foundName, found
}

// checkSpelling reports a member that is present only in another spelling.
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

// text reads a member that must be a string.
func (f *configFile) text(name string) string {
	name, value := f.member(name)
	text, ok := value.Text()
	if !ok && !value.Empty() {
		f.fail(name, "is not a string")
	}
	return strings.TrimSpace(text)
}

// info reads a member that is only information. If it is not a string, it counts as
// absent.
func (f *configFile) info(name string) string {
	value := f.informing(name)
	text, _ := value.Text()
	return strings.TrimSpace(text)
}

func (f *configFile) infos(name string) []string {
	value := f.informing(name)
	if text, ok := value.Text(); ok {
		return strings.Fields(text)
	}
	values, _ := value.Array()
	var texts []string
	for _, value := range values {
		if text, _ := value.Text(); strings.TrimSpace(text) != "" {
			texts = append(texts, strings.TrimSpace(text))
		}
	}
	return texts
}

// informing finds a member that is only information: a wrong spelling is not
// reported.
func (f *configFile) informing(name string) jose.Value {
	silent := configFile{object: f.object, section: f.section}
	_, value := silent.member(name)
	return value
}

func (f *configFile) key() *clientassertion.Key {
	name, value := f.member("privateJwk")
	if value.Absent() {
		f.missingKey()
		return nil
	}
	text, ok := value.Text()
	if !ok {
		text = value.Raw()
	}
	var options clientassertion.KeyOptions
	if f.section != "" {
		options.Algorithm = f.text("algorithm")
	}
	key, err := clientassertion.ParseKey([]byte(text), options)
	if err != nil {
		f.errs = append(f.errs, fmt.Errorf("the member %s: %w", name, err))
		return nil
	}
	return key
}

func (f *configFile) missingKey() {
	switch {
	case f.section != "":
		f.errs = append(f.errs, fmt.Errorf("the section %s holds no private key: add the JWK as PrivateJwk, or read the key with clientassertion.ParseKey and set Config.Key yourself", f.section))
	case f.object.Has("rsaPrivateKey"):
		f.fail("privateJwk", "is missing: rsaPrivateKey, the same key in .NET's XML form, is not read; download the configuration again or add the key as a JWK")
	case f.hasOtherSection():
		f.fail("privateJwk", "is missing: a section of another name has a clientId, but the sections that are read are "+strings.Join(sections, ", "))
	default:
		f.fail("privateJwk", "is missing: the file holds no private key")
	}
}

// hasOtherSection reports whether a client is in a section with another name. The
// error does not quote that name, which could be anything.
func (f *configFile) hasOtherSection() bool {
	return slices.ContainsFunc(f.object.Names(), func(name string) bool {
		object, ok := f.object.Get(name).Object()
		section := configFile{object: object, section: name}
		_, id := section.member("clientId")
		return ok && !id.Empty()
	})
}
