package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

const example = `{"authority": "https://helseid-sts.test.nhn.no", "clientId": "…", "privateJwk": …}`

// checkFile reads the configuration file. It must not be readable by others.
func checkFile(_ context.Context, s *state) result {
	data, found := s.readFile()
	if data == nil {
		return found
	}
	if wrong := misplacedKey(data, s.file()); wrong != nil {
		found.findings = append(found.findings, *wrong)
		return found
	}
	s.data = data
	config, err := helseid.ParseConfig(data)
	for _, fault := range leaves(err) {
		switch {
		case isOfKey(fault):
			s.keyFaults = append(s.keyFaults, fault)
		case isOfMember(fault):
			s.faults = append(s.faults, fault)
		default: // of the file as a whole
			s.data = nil
			found.add(s.file()+" is no client configuration: "+fault.Error(),
				"Download the configuration from HelseID Selvbetjening again. It is one JSON object, "+example+".")
		}
	}
	s.config = config
	return found
}

func (s *state) readFile() ([]byte, result) {
	if s.options.client.File == "-" {
		data, err := io.ReadAll(io.LimitReader(s.stdin, maxFile+1))
		if err != nil {
			return nil, bad("the configuration cannot be read from standard input", "Redirect standard input from the file: helseid doctor -config - < client.json.")
		}
		return data, good("read from standard input")
	}
	path := s.options.client.File
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, bad("there is no configuration file "+path, "Name it with -config or $HELSEID_CONFIG. HelseID Selvbetjening hands it out when a client is made.")
	case err == nil && !info.Mode().IsRegular():
		return nil, bad(path+" is not a file", "Name the configuration file from HelseID Selvbetjening with -config or $HELSEID_CONFIG.")
	}
	var data []byte
	if err == nil {
		data, err = readAtMost(path)
	}
	if err != nil {
		return nil, bad(path+" cannot be read: "+rootCause(err).Error(), "Run as the user that the service runs as, and make that user the owner of the file (chown).")
	}
	if readableByOthers(info) {
		return data, bad(path+" can be read by others than its owner (mode "+fmt.Sprintf("%04o", info.Mode().Perm())+"): it holds the client's private key",
			"chmod 600 "+path+" (in Kubernetes: defaultMode: 0440 of the volume, and the process's group as fsGroup). If strangers may have read it, replace the key in HelseID Selvbetjening.")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return data, good("%s, for root and this process's group only", path)
	}
	return data, good("%s, for its owner only", path)
}

func readAtMost(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxFile+1))
}

// rootCause leaves out the path and the operation, which the sentence has already.
func rootCause(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// misplacedKey recognises a file that is the key in place of the configuration.
func misplacedKey(data []byte, file string) *finding {
	remedy := "Name the configuration file with -config. If there is none, write one: " + example + ", with this key as privateJwk " +
		"(a JWK as it is, PEM as a string with \\n for line ends)."
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN ")) {
		return &finding{file + " is a key as PEM and no client configuration", []string{remedy}}
	}
	object, err := jose.ParseObject(jose.UnwrapJSON(data))
	if err == nil && (object.Has("kty") || object.Has("keys")) {
		return &finding{file + " is a key as JWK and no client configuration", []string{remedy}}
	}
	return nil
}

// leaves takes joined errors apart. The category that wraps them is left out.
func leaves(err error) []error {
	if err == nil || err == error(helseid.ErrConfig) { //nolint:errorlint // the category itself, not what wraps it
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || isOfMember(err) {
		return []error{err}
	}
	var all []error
	for _, inner := range joined.Unwrap() {
		all = append(all, leaves(inner)...)
	}
	return all
}

// isOfMember reports that a fault of the file is that of one member.
func isOfMember(err error) bool {
	return strings.HasPrefix(err.Error(), "the member ") || strings.HasPrefix(err.Error(), "the section ")
}

// isOfKey reports that a fault is about the member with the private key.
func isOfKey(err error) bool {
	return isOfMember(err) && (errors.Is(err, clientassertion.ErrKey) || strings.HasPrefix(err.Error(), "the member privateJwk") ||
		strings.Contains(err.Error(), "holds no private key"))
}

// checkMembers looks at what the file says beside the key.
func checkMembers(_ context.Context, s *state) result {
	if s.data == nil {
		return skip("the file could not be read")
	}
	found := good("%s", s.describe())
	for _, fault := range s.faults {
		found.add(fault.Error(), "Mend the member in "+s.file()+", or download the configuration from HelseID Selvbetjening again.")
	}
	// A member in another spelling has been reported already.
	reported := func(name string) bool {
		return slices.ContainsFunc(s.faults, func(fault error) bool { return strings.Contains(fault.Error(), "the member "+name) })
	}
	if s.config.Issuer == "" && s.options.client.Issuer == "" && !reported("authority") {
		found.add("the member authority is missing", `Add it to `+s.file()+`: "authority": "`+helseid.Test.Issuer()+`" for the test environment, "`+helseid.Production.Issuer()+`" for production.`)
	}
	if s.config.ClientID == "" && !reported("clientId") {
		found.add("the member clientId is missing", "Add the client's id, which HelseID Selvbetjening shows, to "+s.file()+`: "clientId": "…".`)
	}
	if id := s.config.ClientID; id != "" && !isID(id) {
		found.add("the member clientId is no client id: "+plain(id), "Write the client's id, which HelseID Selvbetjening shows, as clientId into "+s.file()+".")
	}
	return found
}

// describe says whose configuration it is.
func (s *state) describe() string {
	parts := []string{"client " + plain(s.config.ClientID)}
	if name := s.config.Registered.ClientName; name != "" {
		parts = append(parts, redact.Text(name))
	}
	if grants := s.config.Registered.GrantTypes; len(grants) > 0 && !slices.Contains(grants, "client_credentials") {
		parts = append(parts, "for logins only (grantTypes): a token for a system, which this asks for, will be refused")
	}
	return strings.Join(parts, ", ")
}
