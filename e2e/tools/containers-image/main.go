// containers-image copy [OPTION...] SOURCE DESTINATION: copies an image, under a policy for its source, and signs it when a key is given.
// containers-image generate-sigstore-key [OPTION...]: makes such a key.
// The library that skopeo is made of, with the names of skopeo's options; references are `docker://…` and `oci:…`.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/signature/sigstore"
	"go.podman.io/image/v5/types"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "containers-image:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) > 0 {
		switch flags := flag.NewFlagSet(arguments[0], flag.ExitOnError); arguments[0] {
		case "copy":
			return copyImage(flags, arguments[1:])
		case "generate-sigstore-key":
			return generateKey(flags, arguments[1:])
		}
	}
	return errors.New("usage: containers-image copy|generate-sigstore-key [OPTION...]")
}

func copyImage(flags *flag.FlagSet, arguments []string) error {
	registries := flags.String("registries.d", "", "`directory` that says where a registry's signatures are")
	policy := flags.String("policy", "", "`file` that says by whom images are to be signed")
	key := flags.String("sign-by-sigstore-private-key", "", "`file` of the key that signs")
	passphrase := flags.String("sign-passphrase-file", "", "`file` with that key's passphrase")
	unsigned := flags.Bool("remove-signatures", false, "leave the source's signatures behind")
	flags.Parse(arguments)
	if flags.NArg() != 2 {
		return errors.New("copy: a source and a destination are wanted")
	}
	source, err := parse(flags.Arg(0))
	if err != nil {
		return err
	}
	destination, err := parse(flags.Arg(1))
	if err != nil {
		return err
	}
	system := &types.SystemContext{RegistriesDirPath: *registries, SignaturePolicyPath: *policy}
	rules, err := signature.DefaultPolicy(system)
	if err != nil {
		return err
	}
	allowed, err := signature.NewPolicyContext(rules)
	if err != nil {
		return err
	}
	defer allowed.Destroy()
	options := &copy.Options{
		RemoveSignatures:             *unsigned,
		SignBySigstorePrivateKeyFile: *key,
		ReportWriter:                 os.Stdout,
		SourceCtx:                    system,
		DestinationCtx:               system,
	}
	if *passphrase != "" {
		if options.SignSigstorePrivateKeyPassphrase, err = secret(*passphrase); err != nil {
			return err
		}
	}
	_, err = copy.Image(context.Background(), allowed, destination, source, options)
	return err
}

func parse(reference string) (types.ImageReference, error) {
	transport, rest, _ := strings.Cut(reference, ":")
	switch transport {
	case docker.Transport.Name():
		return docker.ParseReference(rest)
	case layout.Transport.Name():
		return layout.ParseReference(rest)
	}
	return nil, fmt.Errorf("%s: a reference is docker://… or oci:…", reference)
}

func generateKey(flags *flag.FlagSet, arguments []string) error {
	prefix := flags.String("output-prefix", "", "`path` of the two files, without .pub and .private")
	passphrase := flags.String("passphrase-file", "", "`file` with the key's passphrase")
	flags.Parse(arguments)
	sealing, err := secret(*passphrase)
	if err != nil {
		return err
	}
	pair, err := sigstore.GenerateKeyPair(sealing)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*prefix+".private", pair.PrivateKey, 0o600); err != nil {
		return err
	}
	return os.WriteFile(*prefix+".pub", pair.PublicKey, 0o644)
}

func secret(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	return bytes.TrimRight(content, "\n"), err
}
