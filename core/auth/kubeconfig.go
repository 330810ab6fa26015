package auth

import (
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const kubeconfigName = "pintle"

// Kubeconfig makes the configuration by which kubectl reaches a server as a
// user. clientcmd.Write and clientcmd.WriteToFile turn it into YAML.
func Kubeconfig(server string, ca []byte, user string, pair KeyPair) *clientcmdapi.Config {
	c := clientcmdapi.NewConfig()
	c.Clusters[kubeconfigName] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	c.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	c.Contexts[kubeconfigName] = &clientcmdapi.Context{Cluster: kubeconfigName, AuthInfo: user}
	c.CurrentContext = kubeconfigName
	return c
}

// RESTConfig makes the configuration by which client-go reaches a server.
func RESTConfig(server string, ca []byte, pair KeyPair) *rest.Config {
	return &rest.Config{
		Host:            server,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca, CertData: pair.Cert, KeyData: pair.Key},
	}
}
