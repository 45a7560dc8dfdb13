from translator.cli.app import main

main()
