// Orders certificates by lego's library, for a benchmark: a line of names on stdin is a batch, and a line on stdout says
// how many orders of it were given up and made anew.
//
// Somebody else answers the challenges: what http-01 needs is the token and the account's thumbprint.
package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certcrypto"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/lego"
	"github.com/go-acme/lego/v5/log"
	"github.com/go-acme/lego/v5/registration"
)

// An order takes seconds; Pebble hangs one now and then, and only a new one helps.
const orderLimit = time.Minute

type user struct {
	key     crypto.Signer
	account *acme.ExtendedAccount
}

func (u *user) GetEmail() string                       { return "" }
func (u *user) GetRegistration() *acme.ExtendedAccount { return u.account }
func (u *user) GetPrivateKey() crypto.Signer           { return u.key }

type answeredElsewhere struct{}

func (answeredElsewhere) Present(context.Context, string, string, string) error { return nil }
func (answeredElsewhere) CleanUp(context.Context, string, string, string) error { return nil }

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: lego-batch DIRECTORY CA_FILE KEY_FILE WORKERS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(directory, caFile, keyFile, workers string) error {
	number, err := strconv.Atoi(workers)
	if err != nil {
		return err
	}
	client, err := registered(directory, caFile, keyFile)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Println(batch(client, strings.Fields(lines.Text()), number))
	}
	return lines.Err()
}

func registered(directory, caFile, keyFile string) (*lego.Client, error) {
	log.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	key, err := keyIn(keyFile)
	if err != nil {
		return nil, err
	}
	roots, err := lego.CreateCertPool([]string{caFile}, false)
	if err != nil {
		return nil, err
	}
	account := &user{key: key}
	config := lego.NewConfig(account)
	config.CADirURL = directory
	config.HTTPClient = &http.Client{
		Timeout: 10 * time.Second,
		// As many connections as there are workers; the environment names no proxy.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 64},
	}
	client, err := lego.NewClient(config)
	if err != nil {
		return nil, err
	}
	options := registration.RegisterOptions{TermsOfServiceAgreed: true}
	if account.account, err = client.Registration.Register(context.Background(), options); err != nil {
		return nil, err
	}
	return client, client.Challenge.SetHTTP01Provider(answeredElsewhere{})
}

func keyIn(file string) (crypto.Signer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", file)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

// How many orders were given up until each name had its certificate.
func batch(client *lego.Client, names []string, workers int) int64 {
	var givenUp atomic.Int64
	var working sync.WaitGroup
	waiting := make(chan string)
	for range workers {
		working.Go(func() {
			for name := range waiting {
				for !obtained(client, name) {
					givenUp.Add(1)
				}
			}
		})
	}
	for _, name := range names {
		waiting <- name
	}
	close(waiting)
	working.Wait()
	return givenUp.Load()
}

func obtained(client *lego.Client, name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), orderLimit)
	defer cancel()
	_, err := client.Certificate.Obtain(ctx, certificate.ObtainRequest{
		Domains: []string{name},
		KeyType: certcrypto.EC256,
		Bundle:  true,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, name, err)
	}
	return err == nil
}
