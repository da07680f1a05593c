package selvbetjening_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// start plays HelseID. A program loads the configuration from the file that HelseID
// Selvbetjening hands out, and leaves BaseURL empty.
func start(options ...helseidtest.ClientOption) (self *selvbetjening.Client, end func()) {
	server, err := helseidtest.Start(helseidtest.InMemory(), helseidtest.Selvbetjening{})
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	client, err := helseid.New(server.NewClient(append(options, helseidtest.Scopes(selvbetjening.Scope))...))
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	self, err = selvbetjening.New(selvbetjening.Config{Client: client, BaseURL: server.SelvbetjeningURL()})
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	return self, func() { client.Close(); server.Close() }
}

// When do the client's keys expire?
func Example() {
	server, err := helseidtest.Start(helseidtest.InMemory(), helseidtest.Selvbetjening{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config := server.NewClient(helseidtest.Scopes(selvbetjening.Scope)) // or helseid.LoadConfig

	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	self, err := selvbetjening.New(selvbetjening.Config{
		Client:  client,
		BaseURL: server.SelvbetjeningURL(), // not in HelseID's own environments
	})
	if err != nil {
		log.Fatal(err)
	}
	secrets, err := self.ClientSecrets(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, secret := range secrets {
		days := time.Until(secret.Expiration).Round(24*time.Hour).Hours() / 24
		fmt.Printf("registered with %s, expires in %.0f days\n", secret.Origin, days)
	}
	// Output: registered with Gui, expires in 365 days
}

// A client of one environment cannot be used with the API of another.
func ExampleNew() {
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	if err != nil {
		log.Fatal(err)
	}
	client, err := helseid.New(helseid.Config{Issuer: helseid.Test.Issuer(), ClientID: "some-client", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = selvbetjening.New(selvbetjening.Config{Client: client})
	fmt.Println(err)
	_, err = selvbetjening.New(selvbetjening.Config{Client: client, BaseURL: helseid.Production.SelvbetjeningURL()})
	fmt.Println(errors.Is(err, helseid.ErrConfig))
	// Output:
	// <nil>
	// true
}

// The private key is stored before its public half is registered.
func ExampleClient_AddClientSecret() {
	self, end := start()
	defer end()
	ctx := context.Background()

	next, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	if err != nil {
		log.Fatal(err)
	}
	private, err := next.MarshalPrivateJWK()
	if err != nil {
		log.Fatal(err)
	}
	store := map[string][]byte{next.ID(): private} // a secret store that encrypts it

	expiration, err := self.AddClientSecret(ctx, next)
	var refused *selvbetjening.Error
	switch {
	case errors.As(err, &refused), errors.Is(err, helseid.ErrNoToken):
		delete(store, next.ID()) // it has not been registered
		fmt.Println(err)
	case err != nil:
		fmt.Println("ask with ClientSecrets whether it has been registered:", err)
	default:
		fmt.Println("registered, good for a year:", time.Until(expiration) > 364*24*time.Hour)
	}
	// Output: registered, good for a year: true
}

func ExampleClient_ClientSecrets() {
	self, end := start()
	defer end()
	secrets, err := self.ClientSecrets(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, secret := range secrets {
		if time.Until(secret.Expiration) < 30*24*time.Hour {
			fmt.Println("soon to expire:", secret.KeyID)
		}
	}
	fmt.Println(len(secrets))
	// Output: 1
}

func ExampleClient_ClientStatus() {
	self, end := start(helseidtest.Scopes("nhn:some-api/read"))
	defer end()
	status, err := self.ClientStatus(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, scope := range status.Scopes {
		fmt.Println(scope.Scope, scope.Status)
	}
	// Output:
	// nhn:some-api/read ok
	// nhn:selvbetjening/client ok
}

// What is not changed stays as it is.
func ExampleClient_Update() {
	self, end := start(helseidtest.Scopes("nhn:some-api/read"))
	defer end()
	ctx := context.Background()
	err := self.Update(ctx, func(c *selvbetjening.Configuration) error {
		c.ChildOrganizations = append(c.ChildOrganizations, "999977775")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	status, err := self.ClientStatus(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(status.Scopes), status.ChildOrganizations)

	err = self.Update(ctx, func(c *selvbetjening.Configuration) error {
		c.Scopes = nil
		return nil
	})
	fmt.Println(err)
	// Output:
	// 2 [999977775]
	// selvbetjening: helseid: configuration: the change: it removes the scope nhn:selvbetjening/client, without which the client can neither put it back nor renew its keys
}

func ExampleClient_Delegations() {
	self, end := start()
	defer end()
	delegations, err := self.Delegations(context.Background())
	fmt.Println(string(delegations), err)
	// Output: [] <nil>
}

// A refusal says what to do about it.
func ExampleError() {
	self, end := start()
	defer end()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		_, err = self.AddClientSecret(context.Background(), key)
	}
	if refused, ok := errors.AsType[*selvbetjening.Error](err); ok {
		fmt.Println(refused.Status, refused.Title)
	}
	// Output: 400 Bad Request
}
